// Which keys jobs have, and the slots that are held for them.
#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "group_commit.h"
#include "server/limits.h"

namespace carrel::sql::server {

void Limits::enter_operation() {
  if (!untouched_) return;
  // Where it fails, what comes next is another operation.
  const int waits = std::exchange(waits_, 0);
  lock(std::exchange(wanted_, {}), std::exchange(claim_wants_, false));
  waits_ = waits;
}

void Limits::leave_operation() {
  untouched_ = false;
  waits_ = 0;
}

void Limits::locked_something() { untouched_ = false; }

// FNV-1a: the same in every process and version.
int Limits::slot_of(std::string_view key) {
  constexpr std::uint32_t kSlots = 1024;
  std::uint32_t hash = 2166136261U;
  for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return static_cast<int>(hash % kSlots);
}

// Not that of a limit of the same name.
int Limits::rate_slot_of(std::string_view key) {
  return slot_of("rate " + std::string(key));
}

namespace {

std::string json_array_of(const std::set<int>& numbers) {
  std::string text = "[";
  for (const int n : numbers) {
    if (text.size() > 1) text += ',';
    text += std::to_string(n);
  }
  return text += ']';
}

}  // namespace

std::set<int> Limits::try_lock(const std::set<int>& slots) {
  std::set<int> missing;
  std::set_difference(slots.begin(), slots.end(), held_.begin(), held_.end(),
                      std::inserter(missing, missing.end()));
  if (missing.empty()) return missing;
  ids_ = json_array_of(missing);
  try_.rows([&] {
    held_.insert(slot_);
    missing.erase(slot_);
    use_->shunned.erase(slot_);
  });
  return missing;
}

void Limits::lock(std::set<int> slots, bool claims) {
  if (slots.empty()) return;
  if (untouched_ && held_.empty()) {
    ids_ = json_array_of(slots);
    if (claims) waiting_ = slots;
    const auto asked = std::chrono::steady_clock::now();
    Statement& lock = session_.is_patient() ? lock_ : lock_now_;
    lock.rows([&] {
      held_.insert(slot_);
      use_->shunned.erase(slot_);
    });
    waiting_.clear();
    // Windows and leases begin now, not before the wait. Who did not wait asks nothing.
    constexpr std::chrono::milliseconds kMoment{2};
    if (std::chrono::steady_clock::now() - asked < kMoment) return;
    at_ = (*clock_)();
    rates_.now_is(at_);
    return;
  }
  if (try_lock(slots).empty()) return;
  wanted_ = std::move(slots);
  wanted_.insert(held_.begin(), held_.end());
  claim_wants_ = claims;
  throw NextTransaction{};
}

bool Limits::try_slot(int slot) { return try_lock({slot}).empty(); }

std::set<int> Limits::Keys::slots() const {
  std::set<int> slots;
  for (const auto& [id, key] : limits) slots.insert(slot_of(key));
  for (const auto& [id, key] : rates) slots.insert(rate_slot_of(key));
  return slots;
}

bool Limits::Keys::touches(JobId id, const std::set<int>& slots) const {
  const auto limit = limits.find(id);
  const auto rate = rates.find(id);
  return (limit != limits.end() && slots.contains(slot_of(limit->second))) ||
         (rate != rates.end() && slots.contains(rate_slot_of(rate->second)));
}

Limits::Keys Limits::keys_of(std::span<const JobId> ids, Statement& find) {
  Keys keys;
  if (ids.empty()) return keys;
  ids_ = json_array(ids);
  find.rows(
      [&] { (is_rate_ != 0 ? keys.rates : keys.limits).emplace(to_id(id_), key_); });
  return keys;
}

void Limits::merge(Keys keys) {
  keys_.merge(keys.limits);
  rates_of_.merge(keys.rates);
}

void Limits::know(std::span<const JobId> ids) {
  Keys keys = keys_of(ids);
  lock(keys.slots());
  merge(std::move(keys));
}

void Limits::know_to_claim(std::span<const JobId> ids) {
  Keys keys = keys_of(ids);
  std::set<int> slots = keys.slots();
  std::erase_if(slots, [&](int slot) { return use_->shunned.contains(slot); });
  lock(std::move(slots), true);
  merge(std::move(keys));
}

bool Limits::waited_in_vain() {
  if (waiting_.empty()) return false;
  use_->shunned.merge(waiting_);
  waiting_.clear();
  return true;
}

std::vector<JobId> Limits::know_free(std::span<const JobId> ids) {
  Keys keys = keys_of(ids);
  const std::set<int> busy = try_lock(keys.slots());
  std::vector<JobId> free;
  for (const JobId id : ids) {
    if (!keys.touches(id, busy)) free.push_back(id);
  }
  merge(std::move(keys));
  return free;
}

std::vector<JobId> Limits::know_free_locked(std::span<const JobId> ids) {
  forget(ids);
  return know_free(ids);
}

void Limits::forget(std::span<const JobId> ids) {
  for (const JobId id : ids) {
    keys_.erase(id);
    rates_of_.erase(id);
  }
}

void Limits::know_locked(std::span<const JobId> ids) {
  Keys keys = keys_of(ids);
  std::set<int> slots = keys.slots();
  if (!try_lock(slots).empty()) {
    wanted_ = std::move(slots);
    wanted_.insert(held_.begin(), held_.end());
    claim_wants_ = false;
    throw NextTransaction{};
  }
  forget(ids);
  merge(std::move(keys));
}

bool Limits::try_know(std::span<const JobId> ids) {
  Keys keys = keys_of(ids, find_keys_now_ ? find_keys_now_ : find_keys_);
  if (!try_lock(keys.slots()).empty()) return false;
  merge(std::move(keys));
  return true;
}

void Limits::lock_keys(std::span<const NewJob* const> jobs) {
  std::set<int> slots;
  for (const NewJob* job : jobs) {
    if (job->limit) slots.insert(slot_of(job->limit->key));
    if (job->rate) slots.insert(rate_slot_of(job->rate->key));
  }
  lock(std::move(slots));
}

void Limits::lock_queues(const std::vector<std::string>& queues) {
  std::set<int> slots;
  for (const std::string& queue : queues) slots.insert(slot_of("queue:" + queue));
  lock(std::move(slots));
}

}  // namespace carrel::sql::server
