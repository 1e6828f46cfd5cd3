/* QEMU 7.2 does not implement the socket option IP_MULTICAST_IF. A failure for that reason alone is reported as success: the
   network that this runs in has only one route for multicast, which is loopback. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int setsockopt(int socket, int level, int option, const void *value, socklen_t length) {
    int done = syscall(SYS_setsockopt, socket, level, option, value, length);
    int missing = done != 0 && errno == ENOPROTOOPT;
    return missing && level == IPPROTO_IP && option == IP_MULTICAST_IF ? 0 : done;
}
