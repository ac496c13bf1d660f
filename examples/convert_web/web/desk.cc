#include "web/desk.h"

#include <sys/random.h>
#include <trial/scratch.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "conversion.h"
#include "web/mail_job.h"

namespace convert_web {
namespace {

namespace fs = std::filesystem;
using carrel::Code;
using carrel::fail;
using carrel::Json;

constexpr std::size_t kTokenBytes = 16;

std::string new_token() {
  unsigned char bytes[kTokenBytes];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) std::abort();
  std::string token;
  for (const unsigned char byte : bytes) {
    token += "0123456789abcdef"[byte >> 4];
    token += "0123456789abcdef"[byte & 15];
  }
  return token;
}

Json to_json(const Conversion& c) {
  return {{"name", c.name},     {"from", c.from},   {"to", c.to},  {"width", c.width},
          {"height", c.height}, {"shift", c.shift}, {"job", c.job}};
}

std::optional<Conversion> conversion_of(const std::string& text) {
  try {
    const Json j = Json::parse(text);
    return Conversion{j.at("name"),   j.at("from"),  j.at("to"), j.at("width"),
                      j.at("height"), j.at("shift"), j.at("job")};
  } catch (const Json::exception&) {
    return {};
  }
}

// The token in a job's arguments; empty: it is no conversion.
std::string token_of(const carrel::Claimed& job) {
  const Json args = Json::parse(job.payload, nullptr, false);
  if (job.kind != "convert" || args.is_discarded()) return {};
  return args.value("token", std::string());
}

}  // namespace

// One thread: what waits for the store or the disk, so that no hook does.
class Desk::Errands {
 public:
  template <class F>
  void run(F f) {
    boost::asio::post(thread_, std::move(f));
  }
  ~Errands() { thread_.join(); }

 private:
  boost::asio::thread_pool thread_{1};
};

Desk::Desk(DeskOptions options, carrel::Engine& engine)
    : options_(std::move(options)), engine_(engine) {
  engine_.on_progress(
      [this](const carrel::Claimed& job, const carrel::Progress& progress) {
        progressed(job, progress);
      });
  engine_.on_finished([this](const carrel::Event& event) { finished(event); });
}

Desk::~Desk() = default;

bool Desk::is_token(const std::string& token) {
  return token.size() == 2 * kTokenBytes &&
         token.find_first_not_of("0123456789abcdef") == std::string::npos;
}

fs::path Desk::folder(const std::string& token) const { return options_.folder / token; }

fs::path Desk::output(const std::string& token) const { return folder(token) / "output"; }

void Desk::tidy() {
  if (!errands_) errands_ = std::make_unique<Errands>();  // threads, only after ignition
  const auto now = fs::file_time_type::clock::now();
  std::error_code error;
  std::vector<std::string> tokens;
  for (const auto& entry : fs::directory_iterator(options_.folder, error)) {
    if (is_token(entry.path().filename())) tokens.push_back(entry.path().filename());
  }
  for (const std::string& token : tokens) {
    const auto written = fs::last_write_time(folder(token) / "input", error);
    const bool unknown = find(token) == std::nullopt;
    if (error || now - written > (unknown ? std::chrono::seconds(3600) : options_.keep)) {
      const std::scoped_lock lock(mutex_);
      forget(token);
      continue;
    }
    const auto found = find(token);
    if (found && found->standing.is_final()) tell_operator(token);
  }
}

// The folder first: as long as it is there, find() could bring the entry back.
void Desk::forget(const std::string& token) {
  std::error_code ignored;
  fs::remove_all(folder(token), ignored);
  entries_.erase(token);
}

bool Desk::make_room() {
  if (entries_.size() < options_.most) return true;
  auto oldest = entries_.end();
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    const std::uint64_t job =
        it->second.conversion.job;  // they are numbered as they come
    if (job == 0 || !it->second.standing.is_final()) continue;
    if (oldest == entries_.end() || job < oldest->second.conversion.job) oldest = it;
  }
  if (oldest == entries_.end()) return false;
  forget(std::string(oldest->first));
  return true;
}

carrel::Result<std::string> Desk::add(Conversion conversion, std::string_view content) {
  const std::string token = new_token();
  {
    const std::scoped_lock lock(mutex_);
    if (!make_room()) {
      return fail(Code::kUnavailable,
                  "Too many files are waiting here. Please come again in some minutes.");
    }
    entries_[token].conversion = conversion;  // the job may start before we return
  }
  // However this ends, by a throw too: without a job there is no conversion.
  struct Undo {
    Desk& desk;
    const std::string& token;
    bool kept = false;
    ~Undo() {
      if (kept) return;
      const std::scoped_lock lock(desk.mutex_);
      desk.forget(token);
    }
  } undo{*this, token};
  std::error_code error;
  fs::create_directory(folder(token), error);
  fs::permissions(folder(token), fs::perms::owner_all, error);
  if (!trial::write_file(folder(token) / "input", std::string(content))) {
    return fail(Code::kUnavailable, "The file cannot be stored. Please try again.");
  }
  if (auto queued = enqueue(token, conversion); !queued) {
    return tl::unexpected(queued.error());
  }
  const std::scoped_lock lock(mutex_);
  entries_[token].conversion = std::move(conversion);
  undo.kept = true;
  return token;
}

carrel::Result<void> Desk::enqueue(const std::string& token, Conversion& conversion) {
  ConversionJob job;
  job.input = (folder(token) / "input").string();
  job.output = output(token).string();
  job.from = conversion.from;
  job.to = conversion.to;
  job.width = conversion.width;
  job.height = conversion.height;
  job.shift = conversion.shift;
  job.slow_ms = options_.slow_ms;
  job.hold = options_.hold;
  Json args = job;
  args["token"] = token;
  const auto meta = folder(token) / "conversion.json";
  // Written before and after: between the two a crash leaves what tidy() finishes, for
  // the token names the job in the store, too.
  if (!trial::write_file(meta, to_json(conversion).dump())) {
    return fail(Code::kUnavailable, "The file cannot be stored. Please try again.");
  }
  const auto id = engine_.enqueue("convert", args, {.request_id = token});
  if (!id) {
    return fail(Code::kUnavailable,
                "The conversion cannot be queued. Please try again in a minute.");
  }
  conversion.job = value(*id);
  trial::write_file(meta, to_json(conversion).dump());
  return {};
}

std::optional<Desk::Found> Desk::find(const std::string& token) {
  if (!is_token(token)) return {};
  bool unheard = false;
  {
    const std::scoped_lock lock(mutex_);
    const auto it = entries_.find(token);
    if (it != entries_.end()) {
      Entry& entry = it->second;
      const auto now = std::chrono::steady_clock::now();
      unheard = !entry.standing.is_final() && entry.conversion.job != 0 &&
                now - entry.heard >= options_.unheard;
      if (!unheard) return Found{entry.conversion, entry.standing};
      entry.heard = now;  // whoever comes meanwhile does not ask the store, too
    }
  }
  if (!unheard) return recall(token);
  if (const auto seen = remembered(token)) ask_again(token, *seen);
  return remembered(token);
}

std::optional<Desk::Found> Desk::remembered(const std::string& token) {
  const std::scoped_lock lock(mutex_);
  const auto it = entries_.find(token);
  if (it == entries_.end()) return {};
  return Found{it->second.conversion, it->second.standing};
}

void Desk::ask_again(const std::string& token, const Found& seen) {
  const auto record = engine_.job(carrel::JobId{seen.conversion.job});
  if (!record) {
    if (record.error().code != Code::kNotFound) return;  // the store is away
    const std::scoped_lock lock(mutex_);
    entries_.erase(token);  // somebody purged the job
    return;
  }
  const Standing now = standing_of(*record, options_.timeout_s);
  // Between two attempts it waits, and memory knows why.
  if (now.state == seen.standing.state && now.fraction == seen.standing.fraction) return;
  change(token, [&](Standing& standing) {
    if (standing.version != seen.standing.version) return;  // a hook was faster
    standing = {now.state, now.fraction, now.message, now.result, standing.version};
  });
  if (now.is_final() && errands_) {
    errands_->run([this, token] { tell_operator(token); });
  }
}

// From the folder and the store: what a process before this one was asked for.
std::optional<Desk::Found> Desk::recall(const std::string& token) {
  auto conversion = conversion_of(trial::content_of(folder(token) / "conversion.json"));
  if (!conversion) return {};
  if (conversion->job == 0 && !enqueue(token, *conversion)) return {};
  const auto record = engine_.job(carrel::JobId{conversion->job});
  if (!record) return {};
  const std::scoped_lock lock(mutex_);
  // A hook may have been faster.
  const auto it =
      entries_
          .try_emplace(token,
                       Entry{*conversion, standing_of(*record, options_.timeout_s), {}})
          .first;
  return Found{it->second.conversion, it->second.standing};
}

void Desk::change(const std::string& token, const std::function<void(Standing&)>& how) {
  Rings rings;
  {
    const std::scoped_lock lock(mutex_);
    const auto it = entries_.find(token);
    if (it == entries_.end() || it->second.standing.is_final()) return;
    how(it->second.standing);
    ++it->second.standing.version;
    it->second.heard = std::chrono::steady_clock::now();
    rings = it->second.rings;
  }
  for (const auto& ring : rings) ring();
}

void Desk::progressed(const carrel::Claimed& job, const carrel::Progress& progress) {
  change(token_of(job), [&](Standing& standing) {
    standing.state = "running";
    standing.fraction = progress.fraction;
    standing.message = progress.message;
  });
}

void Desk::finished(const carrel::Event& event) {
  const std::string token = token_of(event.job);
  if (token.empty()) return;
  const Standing now = ended(event.outcome, event.state, options_.timeout_s);
  change(token, [&](Standing& standing) {
    standing = {now.state, now.fraction, now.message, now.result, standing.version};
  });
  if (now.is_final() && errands_) {
    errands_->run([this, token] { tell_operator(token); });
  }
}

void Desk::tell_operator(const std::string& token) {
  const auto told = folder(token) / "told";
  std::error_code error;
  if (options_.mail_to.empty() || fs::exists(told, error)) return;
  const auto found = find(token);
  if (!found || found->standing.state == "cancelled") return;
  const Json mail = MailJob{token,
                            found->conversion.name,
                            found->conversion.to,
                            found->standing.state == "done",
                            found->standing.message,
                            (folder(token) / "input").string(),
                            options_.mail_to};
  // One, however often it is asked for.
  const auto id = engine_.enqueue("mail", mail, {.request_id = "mail-" + token});
  if (id) trial::write_file(told, std::to_string(value(*id)));
}

void Desk::cancel(const std::string& token) {
  const auto found = find(token);
  if (!found || found->standing.is_final()) return;
  const auto done = engine_.cancel(carrel::JobId{found->conversion.job});
  // One that had not started is over at once, and no hook tells of it.
  if (done && *done == carrel::Cancelled::kCancelled) {
    change(token, [](Standing& standing) {
      const auto version = standing.version;
      standing = stopped();
      standing.version = version;
    });
  }
}

std::shared_ptr<void> Desk::watch(const std::string& token, std::function<void()> ring) {
  const std::scoped_lock lock(mutex_);
  const auto it = entries_.find(token);
  if (it == entries_.end()) return nullptr;
  const auto place = it->second.rings.insert(it->second.rings.end(), std::move(ring));
  return {this, [this, token, place](void*) {
            const std::scoped_lock again(mutex_);
            const auto entry = entries_.find(token);
            if (entry != entries_.end()) entry->second.rings.erase(place);
          }};
}

}  // namespace convert_web
