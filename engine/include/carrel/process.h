// The process server: the one small, single-threaded child from which fork and exec jobs
// come.
//
// It must be born before its host has threads, and should be born before the host is
// large. By default the engine forks it at its first enqueue, wait, job or start. A host
// that has threads by then uses one of these two, early in main:
//
//   int main(int argc, char** argv) {
//     carrel::main_hook(argc, argv,
//                       [](carrel::Handlers& h) { h.handle("resize", resize); });
//     …
//
// or prefork(), which forks at once. Handlers of fork kinds run in the server's image, so
// they must be known to it: registered on the engine before its server starts, or in
// `setup` here. There it is the handler of `setup` that runs, and the engine takes jobs
// of those kinds that have a handler there too: register each on both.
#pragma once

#include <carrel/context.h>

#include <functional>

namespace carrel {

// Registers what fork kinds run. Called in the process that becomes the server.
using ServerSetup = std::function<void(Handlers&)>;

// Forks the server now. Call before any thread is started: kInvalid names the threads
// that are running already. kExists: there is one. The server lives until this process
// ends.
Result<void> prefork(const ServerSetup& setup = {});

// First thing in main. In the host it returns at once, having noted that the server is to
// be made by executing this program again: that works with any number of threads and any
// amount of memory, at the price of one exec. In that other execution it runs `setup`,
// becomes the server and never returns.
void main_hook(int argc, char** argv, const ServerSetup& setup = {});

}  // namespace carrel
