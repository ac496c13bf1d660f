// The host's side of its process server: one for the whole process, made once.
//
// Threads: every call is safe beside every other. They block for as long as the server
// takes to start.
#pragma once

#include <carrel/context.h>
#include <carrel/store.h>

#include <functional>
#include <stop_token>

#include "os.h"
#include "wire.h"

namespace carrel::process {

// Called by an engine before it starts threads. If this process has no server yet, makes
// one that knows `fork_handlers`: by executing the program again if main_hook() was
// called, else by fork, which needs a process of one thread; kInvalid names the threads
// and the ways out. If there is one, each kind of `fork_handlers` must be known to it;
// kInvalid names one that is not, or that has another handler there, as far as their
// types tell (of one lambda that captured different things they do not); hooks other than
// those that it was forked with, told apart likewise, come too late then, and are
// refused. `needed_by_exec_only`: no handler matters; it only words the error. Says in
// the log if the server is forked from a large process.
Result<void> ignite(const Handlers& fork_handlers, bool needed_by_exec_only,
                    const LogFn& log);

// A new channel to the server, or to a room of it (`message`, see wire.h). If the server
// has died for good, it is made again where that is possible: after main_hook(); else
// kUnavailable names the way out. kUnavailable also: no descriptor is left, or `stop` was
// asked for while a server was made. kInvalid: the message is too long.
Result<UniqueFd> connect(std::string_view message = kChannelMark,
                         std::stop_token stop = {});

// In the server itself: a handler may open an engine, which must not find the host's
// server, nor that its program could be executed again.
void forget_server();

// From main_hook(): the server is to be made by execution.
void note_hook() noexcept;
// From prefork().
Result<void> fork_now(const std::function<void(Handlers&)>& setup);

}  // namespace carrel::process
