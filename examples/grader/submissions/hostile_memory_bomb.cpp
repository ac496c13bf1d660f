#include <cstring>
#include <new>

int main() {
  for (;;) std::memset(::operator new(1 << 20), 1, 1 << 20);
}
