// Jobs and attempts as JSON: stored by the SQL backends, printed by the command line.
#include <carrel/job.h>

#include <ctime>

#include "base64.h"
#include "json_text.h"

namespace carrel {
namespace {

// RFC 3339 in UTC, with microseconds: sorts as text.
std::string to_text(Time t) {
  const auto us = t.time_since_epoch().count();
  auto seconds = static_cast<std::time_t>(us / 1'000'000);
  auto rest = us % 1'000'000;
  if (rest < 0) {
    rest += 1'000'000;
    --seconds;
  }
  std::tm tm{};
  gmtime_r(&seconds, &tm);
  char date[40];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
  char text[64];
  std::snprintf(text, sizeof text, "%s.%06ldZ", date, static_cast<long>(rest));
  return text;
}

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

// As the JSON that they are, else as text, or as {"base64": …} where they are no UTF-8.
Json shown(const std::string& bytes) {
  if (bytes.empty()) return {};
  Json parsed = json_from_text(bytes);
  return parsed.is_discarded() ? bytes_as_json(bytes) : parsed;
}

std::string printable(const std::string& text) {
  return Json::parse(Json(text).dump(-1, ' ', false, Json::error_handler_t::replace))
      .get<std::string>();
}

Rung rung_of(std::string_view name) {
  for (const Rung rung : {Rung::kStop, Rung::kTerm, Rung::kKill}) {
    if (to_string(rung) == name) return rung;
  }
  return Rung::kNone;
}

}  // namespace

void to_json(Json& j, const Attempt& a) {
  j = Json{{"attempt", a.attempt},
           {"fence", value(a.fence)},
           {"class", to_string(a.klass)},
           {"worker", a.worker},
           {"started_us", a.started.time_since_epoch().count()},
           {"ended_us", a.ended.time_since_epoch().count()},
           {"wall_us", a.usage.wall.count()}};
  if (a.klass != OutcomeClass::kOk) {
    j["message"] = printable(a.message);
    j["code"] = to_string(a.code);
  }
  if (a.native != 0) j["errno"] = a.native;
  if (a.exit_code != 0) j["exit_code"] = a.exit_code;
  if (a.signal != 0) j["signal"] = a.signal;
  if (a.usage.cpu.count() != 0) j["cpu_us"] = a.usage.cpu.count();
  if (a.usage.max_rss_bytes != 0) j["max_rss_bytes"] = a.usage.max_rss_bytes;
  if (!a.stderr_tail.empty()) j["stderr"] = printable(a.stderr_tail);
  if (a.rung != Rung::kNone) j["rung"] = to_string(a.rung);
  if (a.leftover_killed) j["leftover_killed"] = true;
  if (!a.enforced.empty()) {
    auto& enforced = j["enforced"] = Json::array();
    for (const auto& feature : a.enforced) enforced.push_back(printable(feature));
  }
}

void from_json(const Json& j, Attempt& a) {
  a.attempt = j.at("attempt").get<std::uint16_t>();
  a.fence = Fence{j.at("fence").get<std::uint64_t>()};
  a.klass = parse_outcome_class(j.at("class").get<std::string>())
                .value_or(OutcomeClass::kFailed);
  a.worker = j.value("worker", "");
  a.started = Time(Duration(j.value("started_us", std::int64_t{0})));
  a.ended = Time(Duration(j.value("ended_us", std::int64_t{0})));
  a.usage.wall = Duration(j.value("wall_us", std::int64_t{0}));
  a.message = j.value("message", "");
  a.code = parse_code(j.value("code", "failed")).value_or(Code::kFailed);
  a.native = j.value("errno", 0);
  a.exit_code = j.value("exit_code", 0);
  a.signal = j.value("signal", 0);
  a.usage.cpu = Duration(j.value("cpu_us", std::int64_t{0}));
  a.usage.max_rss_bytes = j.value("max_rss_bytes", std::uint64_t{0});
  a.stderr_tail = j.value("stderr", "");
  a.rung = rung_of(j.value("rung", ""));
  a.leftover_killed = j.value("leftover_killed", false);
  a.enforced = j.value("enforced", std::vector<std::string>{});
}

void to_json(Json& j, const JobRecord& r) {
  j = Json{{"id", value(r.id)},
           {"state", to_string(r.state)},
           {"queue", r.queue},
           {"kind", r.kind},
           {"args", shown(r.payload)},
           {"priority", r.priority},
           {"attempt", r.attempt},
           {"max_attempts", r.max_attempts},
           {"enqueued", to_text(r.enqueued)},
           {"run_at", to_text(r.run_at)},
           {"result", shown(r.result)},
           {"fence", value(r.fence)},
           {"crashes", r.crashes},
           {"cancel_requested", r.cancel_requested},
           {"worker", r.worker},
           {"log", printable(r.log)},
           {"timeout_s", seconds(r.timeout)},
           {"attempts", r.attempts}};
  const auto optional_time = [](const std::optional<Time>& t) {
    return t ? Json(to_text(*t)) : Json();
  };
  j["expires"] = optional_time(r.expires);
  j["started"] = optional_time(r.started);
  j["ended"] = optional_time(r.ended);
  j["request_id"] = r.request_id.empty() ? Json() : Json(printable(r.request_id));
  j["limit"] = r.limit
                   ? Json{{"key", printable(r.limit->key)}, {"running", r.limit->running}}
                   : Json();
  j["rate"] = r.rate ? Json{{"key", printable(r.rate->key)},
                            {"starts", r.rate->starts},
                            {"period_s", seconds(r.rate->period)}}
                     : Json();
  j["unique_key"] = r.unique_key.empty() ? Json() : Json(printable(r.unique_key));
  j["progress"] = r.progress ? Json{{"fraction", r.progress->fraction},
                                    {"message", printable(r.progress->message)}}
                             : Json();
}

}  // namespace carrel
