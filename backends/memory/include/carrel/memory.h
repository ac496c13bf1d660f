// The memory backend: a store and a queue that live and die with the process.
//
// As a store, "memory:" keeps every row in the process. Promise: at most once across the
// death of the process; within it, everything that carrel/store.h says. It is its own
// queue (claim_source). Rows that are final are kept for as long as Retention says, but
// never more than Retention::max_rows of them, by default 10,000: the oldest go first, so
// that memory depends on the jobs that wait and run, and not on how many ever ran. A
// request_id is known for as long as the row of its job exists: after that, the same id
// enqueues a new job.
//
// As a queue, "memory:" carries tickets beside a durable store: lower priority values
// first, then in the order of arrival. It holds each id once, and at most `capacity`
// tickets ("memory:?capacity=5000"): what it does not take is found again by the store's
// peek.
//
// Threads: every call is safe beside every other. Blocking: only claim, receive and
// await_final wait, on condition variables and for real time; what is stored or compared
// is the injected clock's time alone.
#pragma once

#include <carrel/queue.h>
#include <carrel/registry.h>
#include <carrel/store.h>

#include <cstddef>
#include <memory>

namespace carrel {

inline constexpr std::size_t kMemoryQueueCapacity = 100'000;

// Adds the scheme "memory", for a store and for a queue. An option in the URL that the
// backend does not know is kInvalid.
void register_memory(Registry& registry);

// The same without a URL. `options.clock` is borrowed and outlives the store.
std::unique_ptr<Store> make_memory_store(const BackendOptions& options);
std::unique_ptr<Queue> make_memory_queue(std::size_t capacity = kMemoryQueueCapacity);

}  // namespace carrel
