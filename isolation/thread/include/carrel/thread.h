// The isolations "thread" and "mutex": handlers on a pool of threads in this process.
#pragma once

#include <carrel/registry.h>

namespace carrel {

// thread: a pool of `concurrency` threads.
// mutex: the same, and jobs of one key run one at a time, in the order in which they
// came. The key is the kind, or the kind's `key` template over the arguments. A job that
// waits for its key holds a slot of the worker but no thread.
//
// A thread cannot be killed. A run that ignores its stop request is abandoned: its thread
// is replaced, at most `concurrency` times over, and counted by Isolation::stuck() until
// it ends. Once as many more are stuck none is left: the worker takes no job of this
// isolation until one comes back, and what it had taken goes back to the store
// (Isolation::exhausted()).
//
// An abandoned run keeps its mutex key until it ends: jobs of that key go back to the
// store, for ten seconds each time. A limit by key, which counts in the store, does not
// count it any more.
//
// pthread_exit() in a handler ends the process: a thread has no other way to end than to
// return.
void register_thread(Registry& registry);

}  // namespace carrel
