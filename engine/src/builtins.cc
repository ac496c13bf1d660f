#include <carrel/exec.h>
#include <carrel/fork.h>
#include <carrel/memory.h>
#include <carrel/registry.h>
#include <carrel/thread.h>

namespace carrel {

Registry Registry::with_builtins() {
  Registry registry;
  register_memory(registry);
  register_thread(registry);
  register_fork(registry);
  register_exec(registry);
  return registry;
}

}  // namespace carrel
