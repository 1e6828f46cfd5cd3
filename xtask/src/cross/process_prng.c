/* A replacement for bcryptprimitives.dll, which Wine 8 lacks: the one function that Rust's standard library needs. */
__declspec(dllimport) unsigned char __stdcall SystemFunction036(void *bytes, unsigned long length);

__declspec(dllexport) int ProcessPrng(void *bytes, unsigned long long length) {
    return SystemFunction036(bytes, (unsigned long)length);
}
