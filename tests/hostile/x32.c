/* A system call by its number of the x32 ABI: getpid. */
#include <sys/syscall.h>
#include <unistd.h>

int main(void) { return syscall(0x40000000L | SYS_getpid) > 0 ? 0 : 1; }
