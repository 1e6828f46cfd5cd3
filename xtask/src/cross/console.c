/* console.exe EVENT PROGRAM ARGUMENT...: starts the program and, once there is a line on standard input, sends it a console
   event: 0 is Ctrl-C, 1 Ctrl-Break, 2 the end of the window, 5 of the session, 6 of the system. Like the console, it starts a
   thread in the program that runs CtrlRoutine: GenerateConsoleCtrlEvent supports only the first two events, and fails in
   Wine 8 without a window. */
#include <stdlib.h>
#include <string.h>
#include <windows.h>

int main(int count, char **words) {
    LPTHREAD_START_ROUTINE tell =
        (LPTHREAD_START_ROUTINE)(void *)GetProcAddress(GetModuleHandleA("kernelbase"), "CtrlRoutine");
    STARTUPINFOA startup = {sizeof startup};
    PROCESS_INFORMATION child;
    DWORD code = 1, read;
    char line[4096] = "", input;

    if (count < 3 || !tell) return 2;
    for (int i = 2; i < count; i++) {
        if (strlen(line) + strlen(words[i]) + 2 > sizeof line) return 2;
        strcat(strcat(line, words[i]), " ");
    }
    if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &startup, &child)) return 3;
    if (!ReadFile(GetStdHandle(STD_INPUT_HANDLE), &input, 1, &read, NULL)) return 4;
    if (!CreateRemoteThread(child.hProcess, NULL, 0, tell, (void *)(size_t)atoi(words[1]), 0, NULL)) return 5;
    WaitForSingleObject(child.hProcess, INFINITE);
    GetExitCodeProcess(child.hProcess, &code);
    return (int)code;
}
