#include <carrel/process.h>

#include "birth.h"
#include "process_server.h"

namespace carrel {

Result<void> prefork(const ServerSetup& setup) { return process::fork_now(setup); }

void main_hook(int argc, char** argv, const ServerSetup& setup) {
  process::serve_if_asked(argc, argv, setup);
  process::note_hook();
}

}  // namespace carrel
