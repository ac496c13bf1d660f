// Engine::hold: checks, and the holds of this engine.
#include <carrel/hold.h>

#include "engine_impl.h"

namespace carrel {
namespace {
constexpr std::size_t kMaxKey = 256;
}

std::shared_ptr<Holds> Engine::Impl::holds() {
  std::lock_guard lock(holds_mutex_);
  if (!holds_) {
    holds_ = std::make_shared<Holds>(
        *store, Holds::Setup{config.worker.lease, config.worker.beat, config.worker.poll,
                             [this](std::vector<Ticket> freed) {
                               // Also on a thread of theirs, which has leases to keep.
                               if (config.mode == Mode::kInline) return;
                               publish(std::move(freed));
                             },
                             log});
  }
  return holds_;
}

void Engine::Impl::interrupt_holds() {
  std::lock_guard lock(holds_mutex_);
  if (holds_) holds_->interrupt();
}

Result<void> Engine::Impl::hold(const Limit& limit, const Holds::Run& run, Duration wait,
                                const std::stop_token& give_up) {
  const auto refuse = [](Code code, const char* why) -> Result<void> {
    return fail(code, why, "hold");
  };
  if (limit.key.empty() || limit.key.size() > kMaxKey) {
    return refuse(Code::kInvalid, "hold: a key has 1 to 256 bytes");
  }
  if (limit.running == 0) return refuse(Code::kInvalid, "hold: a limit is 1 or more");
  if (wait < Duration{0}) return refuse(Code::kInvalid, "hold: `wait` is negative");
  auto found = guarded([&]() -> Result<std::shared_ptr<Holds>> {
    if (auto ok = ignite(); !ok) return tl::unexpected<Error>(std::move(ok.error()));
    if (store->traits().limits) return holds();
    return fail(Code::kUnsupported, "hold: this store counts no limits", "hold");
  });
  if (!found) return tl::unexpected<Error>(std::move(found.error()));
  return (*found)->hold(limit, run, wait, give_up);  // which has a door of its own
}

Result<void> Engine::hold_place(std::string_view key, std::uint32_t limit,
                                const std::function<void(const std::stop_token&)>& run,
                                Duration wait, const std::stop_token& give_up) {
  return impl_->hold({std::string(key), limit}, run, wait, give_up);
}

}  // namespace carrel
