/* Has more data than an address space of a megabyte takes, so the kernel cannot load it. */
static char data[4 << 20];

int main(void) { return data[1 << 20]; }
