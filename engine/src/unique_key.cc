#include "unique_key.h"

#include <algorithm>
#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/uuid_io.hpp>
#include <optional>
#include <utility>

#include "json_text.h"
#include "wording.h"

namespace carrel {
namespace {

constexpr std::size_t kLongestKey = 256;
constexpr std::string_view kArgs = "args.";

// The member that a path such as "user.id" leads to; null: there is none.
const Json* member(const Json& args, std::string_view path) {
  const Json* at = &args;
  while (true) {
    const auto dot = path.find('.');
    if (!at->is_object()) return nullptr;
    const auto it = at->find(std::string(path.substr(0, dot)));
    if (it == at->end()) return nullptr;
    at = &*it;
    if (dot == std::string_view::npos) return at;
    path.remove_prefix(dot + 1);
  }
}

// A key that people can read where it is short. A text ends with a bracket and a digest
// never does, so that neither is taken for the other.
std::string key_of(std::string_view kind, const Json& parts, std::string_view bytes) {
  std::string text = parts.dump();
  if (bytes.empty() && text.size() <= kLongestKey) return text;
  static const boost::uuids::uuid kSpace{{0x7a, 0x3d, 0x11, 0x5c, 0x90, 0x4e, 0x4b, 0x6f,
                                          0x8d, 0x52, 0x1f, 0xc2, 0x66, 0xe8, 0x0a,
                                          0x97}};
  text.append(1, '\n').append(bytes);
  const auto digest = boost::uuids::name_generator_sha1(kSpace)(text);
  return std::string(kind) + ':' + boost::uuids::to_string(digest);
}

std::vector<State> default_states(Duration period) {
  std::vector<State> states = {State::kPending, State::kScheduled, State::kAvailable,
                               State::kRunning, State::kRetryable};
  if (period > Duration::zero()) states.push_back(State::kCompleted);
  return states;
}

}  // namespace

Result<void> check_unique_fields(std::span<const std::string> fields) {
  for (const std::string& field : fields) {
    if (field == "kind" || field == "queue" || field == "args") continue;
    const bool path = field.starts_with(kArgs) && field.back() != '.' &&
                      field.find("..") == std::string::npos;
    if (!path) {
      return fail(Code::kInvalid, quote(field) +
                                      " is no field: \"args\", \"args.NAME\", \"queue\" "
                                      "or \"kind\"");
    }
  }
  return {};
}

Result<Unique> make_unique(const UniqueConfig& config, std::string_view kind,
                           std::string_view queue, const std::string& payload) {
  const auto bad = [&](const std::string& why) {
    return fail(Code::kInvalid, "what makes " + quote(kind) + " unique: " + why,
                "enqueue");
  };
  if (auto ok = check_unique_fields(config.fields); !ok) return bad(ok.error().message);
  const auto has = [&](std::string_view field) {
    return std::find(config.fields.begin(), config.fields.end(), field) !=
           config.fields.end();
  };
  const bool all = has("args");
  const bool some = std::any_of(config.fields.begin(), config.fields.end(),
                                [](const auto& f) { return f.starts_with(kArgs); });
  Json args;
  if ((all || some) && !payload.empty()) args = json_from_text(payload);
  std::string_view bytes;
  if (args.is_discarded()) {
    if (!all) return bad("it needs arguments in JSON, and these are none");
    bytes = payload;
    args = nullptr;
  }
  Json parts = Json::object();
  if (all) {
    parts["args"] = std::move(args);
  } else if (some) {
    Json chosen = Json::object();
    for (const std::string& field : config.fields) {
      if (!field.starts_with(kArgs)) continue;
      const std::string path = field.substr(kArgs.size());
      const Json* value = member(args, path);
      if (value == nullptr) {
        return bad("it needs the argument " + quote(path) + ", which is not there");
      }
      chosen[path] = *value;
    }
    parts["fields"] = std::move(chosen);
  }
  if (has("queue")) parts["queue"] = std::string(queue);
  parts = Json::array({std::string(kind), std::move(parts)});
  try {
    return Unique{key_of(kind, parts, bytes), config.period,
                  config.states.empty() ? default_states(config.period) : config.states,
                  config.on_conflict};
  } catch (const Json::exception& e) {
    return bad(e.what());
  }
}

}  // namespace carrel
