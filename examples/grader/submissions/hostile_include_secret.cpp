// The compiler reads it, and prints it in its complaint.
#include "@CANARY@/secret"

int main() {}
