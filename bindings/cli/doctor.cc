// What this machine can do, and why not: everything is tried for real.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "absolute_url.h"
#include "commands.h"
#include "config_check.h"
#include "json_text.h"
#include "modules.h"
#include "probe.h"
#include "program_check.h"
#include "sandboxed.h"
#include "scratch.h"
#include "session.h"
#include "system_limits.h"
#include "text.h"
#include "wording.h"

namespace carrel::cli {
namespace {

// One line of the report.
struct Finding {
  // "store", "queue", "isolation", "program", "sandbox", "limit", "configuration"
  std::string about;
  std::string name;
  bool works = true;
  bool needed = false;  // the configuration asks for it
  std::string text;
  Json more = Json::object();
};

class Doctor {
 public:
  explicit Doctor(const Global& global) : global_(global) {}

  int run() {
    // While this process has no thread: probing forks children.
    const auto prepared = prepare_probes();
    configuration();
    stores();
    configured_queue();
    isolations(prepared);
    programs();
    sandboxes(prepared);
    limits();
    print();
    return code_;
  }

 private:
  void add(Finding finding, int code_if_needed) {
    if (!finding.works && finding.needed && code_ == kOk) code_ = code_if_needed;
    findings_.push_back(std::move(finding));
  }

  void configuration() {
    registry_ = Registry::with_builtins();
    // Where nobody named a file there need not be one.
    const std::string file = config_file(global_);
    auto loaded = load_or_defaults(global_);
    Finding finding{"configuration", file.empty() ? "none" : file, true, true, {}};
    if (!loaded) {
      finding.works = false;
      finding.text = loaded.error().message;
      return add(std::move(finding), kUsage);
    }
    config_ = std::move(*loaded);
    for (const std::string& plugin : config_.plugins) {
      if (auto ok = registry_.load(config_.directory / plugin); !ok) {
        add({"plugin", plugin, false, true, ok.error().message}, kUsage);
      } else {
        add({"plugin", plugin, true, true, "loaded"}, kUsage);
      }
    }
    if (auto ok = check_against(config_, registry_); !ok) {
      finding.works = false;
      finding.text = ok.error().message;
    } else {
      finding.text =
          (file.empty() ? defaults_hold() : counted(config_.jobs.size(), "kind")) + ", " +
          counted(concurrency(config_), "job") + " at once";
    }
    add(std::move(finding), kUsage);
  }

  // "the defaults hold but for CARREL_STORE"
  std::string defaults_hold() const {
    std::string text = "the defaults hold";
    for (const auto& [key, place] : config_.places) {
      text += (&place == &config_.places.begin()->second ? " but for " : " and ") + place;
    }
    return text;
  }

  static std::string described(const StoreTraits& traits) {
    return std::string(traits.durable ? "durable" : "gone with its process") + ", " +
           seen_by(traits.reach);
  }

  static std::string seen_by(Reach reach) {
    return std::string("seen by ") + (reach == Reach::kProcess ? "its process"
                                      : reach == Reach::kHost  ? "this host"
                                                               : "the network");
  }

  // The places tried are the same for every module: said once, for a configured store.
  static std::string missing(const std::string& scheme, const Error& error) {
    const std::string_view file = module_for(scheme);
    for (const auto& folder : module_folders()) {
      std::error_code ignored;
      if (file.empty() || std::filesystem::exists(folder / file, ignored)) {
        return error.message;
      }
    }
    return "its module " + std::string(file) + " is not installed";
  }

  void stores() {
    auto scratch = Scratch::make();
    std::set<std::string> schemes;
    for (const auto& names : {module_schemes(), registry_.store_schemes()}) {
      schemes.insert(names.begin(), names.end());
    }
    for (const std::string& scheme : schemes) {
      Finding finding{"store", scheme + ":", true, false, {}};
      if (scheme == "memory" || scheme == "sqlite") {
        std::string url = scheme + ":";
        if (scheme == "sqlite" && scratch) url += (scratch->path() / "probe.db").string();
        const auto probe = probe_store(registry_, url);
        finding.works = probe.has_value();
        finding.text = probe ? described(probe->traits) +
                                   "; a job's way through it took " + rough(probe->cycle)
                             : probe.error().message;
        if (probe) finding.more = {{"cycle_us", probe->cycle.count()}};
      } else {
        const auto factory = registry_.store(scheme);
        finding.works = factory.has_value();
        finding.text = factory ? "is here; give its URL to --store to try it"
                               : missing(scheme, factory.error());
      }
      add(std::move(finding), kStoreAway);
    }
    configured_store();
  }

  void configured_store() {
    const auto url = Url::parse(config_.store);
    if (!url || url->scheme == "memory") return;
    Finding finding{"store", url->redacted(), true, true, {}};
    std::string text = config_.store;
    if (url->scheme == "sqlite" && !url->rest.empty() && url->rest.front() != ':') {
      const auto file = config_.directory / url->rest;
      text = "sqlite:" + file.string() +
             config_.store.substr(config_.store.find(':') + 1 + url->rest.size());
      std::error_code ignored;
      if (!std::filesystem::exists(file, ignored)) {
        // Opening would make it; that is for the first who uses it.
        const auto folder = file.has_parent_path() ? file.parent_path() : ".";
        finding.works = access(folder.c_str(), W_OK | X_OK) == 0;
        finding.text = finding.works ? "is not there yet; its folder can be written"
                                     : "cannot be made in " + folder.string() + ": " +
                                           std::strerror(errno);
        return add(std::move(finding), kStoreAway);
      }
    }
    if (const auto tables = state_of_tables(text); !tables || !tables->empty()) {
      finding.works = tables.has_value();
      finding.text = tables ? *tables : tables.error().message;
      return add(std::move(finding), kStoreAway);
    }
    const auto looked = look_at_store(registry_, as_it_is(text));
    finding.works = looked.has_value();
    finding.text =
        looked ? described(looked->traits) + "; was read within " + rough(looked->cycle)
               : looked.error().message;
    add(std::move(finding), kStoreAway);
  }

  // What who uses it next does to its tables, where it has any; empty: nothing.
  Result<std::string> state_of_tables(const std::string& text) {
    const auto url = Url::parse(text);
    if (!url) return tl::unexpected<Error>(url.error());
    const auto schema = registry_.schema(url->scheme);
    if (!schema) return tl::unexpected<Error>(schema.error());
    if (*schema == nullptr) return std::string();
    const auto change = (**schema)(*url, false);
    if (!change) return tl::unexpected<Error>(change.error());
    if (change->from == 0) {
      return std::string("has no tables yet; who uses it first makes them");
    }
    // Those of a server are brought forward by who is told to.
    if (change->from == change->to || url->scheme != "sqlite") return std::string();
    return "has tables of version " + std::to_string(change->from) +
           "; who uses it next brings them to " + std::to_string(change->to);
  }

  // One that is not the store itself.
  void configured_queue() {
    if (config_.queue.empty() || config_.queue == config_.store) return;
    const auto url = Url::parse(config_.queue);
    if (!url || url->scheme == "memory") return;
    Finding finding{"queue", url->redacted(), true, true, {}};
    const auto looked = look_at_queue(registry_, absolute_url(config_, config_.queue));
    finding.works = looked.has_value();
    finding.text = looked ? seen_by(looked->traits.reach) + "; connected within " +
                                rough(looked->connect)
                          : looked.error().message;
    add(std::move(finding), kStoreAway);
  }

  void isolations(const Result<void>& prepared) {
    std::set<std::string> needed{config_.defaults.isolation};
    for (const auto& [name, kind] : config_.jobs) needed.insert(kind.isolation);
    for (const std::string& name : registry_.isolation_names()) {
      Finding finding{"isolation", name, true, needed.contains(name), {}};
      const auto entry = registry_.isolation(name);
      const bool no_server = entry && (*entry)->needs_server && !prepared;
      const auto probe =
          no_server ? Result<IsolationProbe>(tl::unexpected<Error>(prepared.error()))
                    : probe_isolation(registry_, name);
      finding.works = probe.has_value();
      if (probe) {
        descriptors_[name] = probe->descriptors;
        finding.text = "a job took " + rough(probe->round_trip) + ", a cancel " +
                       rough(probe->cancel);
        if (probe->descriptors > 0) {
          finding.text +=
              "; " + std::to_string(probe->descriptors) +
              (probe->descriptors == 1 ? " descriptor a job" : " descriptors a job");
        }
        finding.more = {{"round_trip_us", probe->round_trip.count()},
                        {"cancel_us", probe->cancel.count()},
                        {"descriptors", probe->descriptors}};
      } else {
        finding.text = probe.error().message;
      }
      add(std::move(finding), kUsage);
    }
  }

  void programs() {
    const bool runs_some = config_.role != Role::kProducer;
    for (ProgramCheck& check : check_programs(config_)) {
      add({"program", check.kind, check.works, runs_some, std::move(check.text)}, kUsage);
    }
  }

  // Every tier, and every profile of the configuration: a job that reads and writes.
  void sandboxes(const Result<void>& prepared) {
    std::set<std::string> needed;
    for (const auto& [name, kind] : config_.jobs) {
      if (kind.isolation == "exec") needed.insert(kind.sandbox);
    }
    std::vector<std::string> names{"restricted", "standard", "full"};
    for (const auto& [name, profile] : config_.sandboxes) {
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        names.push_back(name);
      }
    }
    for (const std::string& name : names) {
      Finding finding{"sandbox", name, false, needed.contains(name), {}};
      const Json args{{"word", "carrel"}};
      const auto outcome =
          prepared ? run_sandboxed(
                         config_,
                         {name, {"/bin/sh", "-c", "cat"}, args, std::chrono::seconds(30)})
                   : Result<Outcome>(tl::unexpected<Error>(prepared.error()));
      if (!outcome) {
        finding.text = outcome.error().message;
      } else if (outcome->klass != OutcomeClass::kOk ||
                 json_from_text(outcome->result) != args) {
        finding.text =
            "a job that should echo did not: " + std::string(to_string(outcome->klass)) +
            " " + outcome->error.message;
      } else {
        finding.works = true;
        finding.text = "a job took " + rough(outcome->usage.wall) + "; enforced:";
        const auto enforced =
            outcome->enforced ? *outcome->enforced : std::vector<std::string>{};
        for (const auto& feature : enforced) finding.text += " " + feature;
        if (enforced.empty()) finding.text += " nothing";
        finding.more = {{"wall_us", outcome->usage.wall.count()}, {"enforced", enforced}};
      }
      add(std::move(finding), kUsage);
    }
  }

  void limits() {
    for (const LimitCheck& check : check_limits(config_, descriptors_)) {
      Finding finding{"limit", check.name, check.enough, true, {}};
      finding.text = grouped(check.limit) + " allowed, about " + grouped(check.needed) +
                     " needed for " + counted(concurrency(config_), "job") + " at once";
      if (!check.enough) finding.text += ": " + check.advice;
      finding.more = {{"allowed", check.limit}, {"needed", check.needed}};
      add(std::move(finding), kUsage);
    }
  }

  void print() const {
    if (global_.json) {
      Json all = Json::array();
      for (const Finding& f : findings_) {
        Json j{{"about", f.about},
               {"name", f.name},
               {"works", f.works},
               {"needed", f.needed},
               {"text", f.text}};
        j.update(f.more);
        all.push_back(std::move(j));
      }
      print_json({{"version", CARREL_VERSION}, {"ok", code_ == kOk}, {"findings", all}});
      return;
    }
    std::string about;
    std::size_t widest = 0;
    for (const Finding& f : findings_) widest = std::max(widest, width(f.name));
    for (const Finding& f : findings_) {
      if (f.about != about) {
        about = f.about;
        std::printf("%s\n", coloured(about, Colour::kBold, stdout).c_str());
      }
      // What nobody asked for may well be missing.
      const Colour colour = f.works    ? Colour::kGood
                            : f.needed ? Colour::kBad
                                       : Colour::kFaint;
      std::printf(
          "  %s  %s%s  %s\n", coloured(f.works ? "ok" : "no", colour, stdout).c_str(),
          printable(f.name).c_str(), std::string(widest - width(f.name), ' ').c_str(),
          printable(f.text).c_str());
    }
    std::printf("\n%s\n",
                code_ == kOk
                    ? coloured("All that the configuration asks for works.",
                               Colour::kGood, stdout)
                          .c_str()
                    : coloured("Something that the configuration asks for does not work.",
                               Colour::kBad, stdout)
                          .c_str());
  }

  const Global& global_;
  Config config_;
  Registry registry_;
  std::map<std::string, std::size_t> descriptors_;
  std::vector<Finding> findings_;
  int code_ = kOk;
};

}  // namespace

int doctor(const Global& global) { return Doctor(global).run(); }

}  // namespace carrel::cli
