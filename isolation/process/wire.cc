#include "wire.h"

namespace carrel::process {
namespace {

bool decode_texts(Reader& in, std::vector<char*>& out) {
  out.clear();
  const auto count = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    out.push_back(const_cast<char*>(in.get_text().data()));
  }
  out.push_back(nullptr);
  return in.ok();
}

void encode_texts(Writer& out, const std::vector<std::string>& texts) {
  out.put(static_cast<std::uint32_t>(texts.size()));
  for (const auto& text : texts) out.put_text(text);
}

}  // namespace

void encode(Writer& out, const Claimed& job,
            std::optional<std::chrono::steady_clock::time_point> deadline,
            std::uint64_t result_bytes, Duration kept) {
  out.put(value(job.lease.id));
  out.put(value(job.lease.fence));
  out.put(job.timeout.count());
  out.put(job.priority);
  out.put(job.attempt);
  out.put(job.max_attempts);
  out.put(job.crashes);
  out.put(result_bytes);
  out.put(kept.count());
  out.put(deadline.has_value());
  using Steady = std::chrono::steady_clock;
  out.put(deadline ? deadline->time_since_epoch().count() : Steady::rep{0});
  out.put_text(job.queue);
  out.put_text(job.kind);
  out.put_text(job.payload);
  out.put_text(job.checkpoint);
}

bool decode(Reader& in, ForkJob& to) {
  Claimed& job = to.job;
  job.lease.id = JobId{in.get<std::uint64_t>()};
  job.lease.fence = Fence{in.get<std::uint64_t>()};
  job.timeout = Duration{in.get<Duration::rep>()};
  job.priority = in.get<std::int16_t>();
  job.attempt = in.get<std::uint16_t>();
  job.max_attempts = in.get<std::uint16_t>();
  job.crashes = in.get<std::uint16_t>();
  to.result_bytes = in.get<std::uint64_t>();
  to.kept = Duration{in.get<Duration::rep>()};
  const bool timed = in.get<bool>();
  using Steady = std::chrono::steady_clock;
  const Steady::time_point deadline{Steady::duration{in.get<Steady::rep>()}};
  if (timed) to.deadline = deadline;
  job.queue = in.get_text();
  job.kind = in.get_text();
  job.payload = in.get_text();
  job.checkpoint = in.get_text();
  return in.whole();
}

void encode(Writer& out, std::string_view path, std::string_view cwd,
            const std::vector<std::string>& argv, const std::vector<std::string>& env) {
  out.put_text(path);
  out.put_text(cwd);
  encode_texts(out, argv);
  encode_texts(out, env);
}

bool decode(Reader& in, SpawnJob& job) {
  job.path = in.get_text().data();
  const std::string_view cwd = in.get_text();
  job.cwd = cwd.empty() ? nullptr : cwd.data();
  return decode_texts(in, job.argv) && decode_texts(in, job.env) && in.whole();
}

}  // namespace carrel::process
