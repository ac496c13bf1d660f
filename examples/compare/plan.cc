#include "plan.h"

#include <fstream>
#include <functional>
#include <set>
#include <sstream>

namespace compare {
namespace {

using carrel::Code;
using carrel::fail;
using carrel::Result;

// The first thing wrong ends the reading; what it was goes up as one error.
struct Wrong {
  std::string message;
};

class Reader {
 public:
  explicit Reader(std::filesystem::path source) : source_(std::move(source)) {}

  [[noreturn]] void wrong(const toml::source_region& where,
                          const std::string& what) const {
    throw Wrong{source_.string() + ":" + std::to_string(where.begin.line) + ": " + what};
  }

  void known(const toml::table& table, const std::set<std::string_view>& keys,
             const std::string& name) const {
    for (const auto& [key, node] : table) {
      if (!keys.contains(key.str())) {
        wrong(key.source(), "unknown key \"" + std::string(key.str()) + "\" in " + name);
      }
    }
  }

  // A required value of type T.
  template <class T>
  T need(const toml::table& table, std::string_view key, const char* kind) const {
    const toml::node* node = table.get(key);
    if (node == nullptr) wrong(table.source(), std::string(key) + " is missing");
    if (auto value = node->value_exact<T>()) return *value;
    wrong(node->source(), std::string(key) + ": expected " + kind);
  }
  std::string text(const toml::table& table, std::string_view key) const {
    std::string value = need<std::string>(table, key, "a string");
    if (value.empty()) wrong(table.get(key)->source(), std::string(key) + " is empty");
    return value;
  }
  std::size_t count(const toml::table& table, std::string_view key) const {
    const auto value = need<std::int64_t>(table, key, "a whole number");
    if (value < 1 || value > 1'000'000) {
      wrong(table.get(key)->source(), std::string(key) + ": expected 1 to 1,000,000");
    }
    return static_cast<std::size_t>(value);
  }

  void counts(const toml::table& table, std::string_view key,
              std::vector<std::size_t>& out) const {
    const toml::array* array = table[key].as_array();
    if (array == nullptr || array->empty()) {
      wrong(table.source(), std::string(key) + ": expected a list such as [1, 2, 4, 8]");
    }
    out.clear();
    for (const toml::node& node : *array) {
      const auto value = node.value_exact<std::int64_t>();
      if (!value || *value < 1 || *value > 10'000) {
        wrong(node.source(),
              std::string(key) + ": expected whole numbers from 1 to 10,000");
      }
      out.push_back(static_cast<std::size_t>(*value));
    }
  }

  // [[key]] tables with names of their own.
  void each(const toml::table& table, std::string_view key,
            const std::function<void(const toml::table&)>& take) const {
    const toml::array* array = table[key].as_array();
    if (array == nullptr || array->empty()) {
      wrong(table.source(), "there is no [[" + std::string(key) + "]]");
    }
    std::set<std::string> names;
    for (const toml::node& node : *array) {
      const toml::table* entry = node.as_table();
      if (entry == nullptr) wrong(node.source(), std::string(key) + ": expected tables");
      if (!names.insert(text(*entry, "name")).second) {
        wrong(node.source(), "two [[" + std::string(key) + "]] have the same name");
      }
      take(*entry);
    }
  }

 private:
  std::filesystem::path source_;
};

void read_work(const Reader& read, const toml::table& work, Plan& plan,
               const std::filesystem::path& folder) {
  read.known(work,
             {"dictionary", "fallback", "setting", "words_per_job", "jobs",
              "latency_jobs", "timeout_seconds"},
             "[work]");
  plan.dictionary = folder / read.text(work, "dictionary");
  plan.fallback = folder / read.text(work, "fallback");
  plan.setting = read.text(work, "setting");
  plan.words_per_job = read.count(work, "words_per_job");
  plan.jobs = read.count(work, "jobs");
  plan.latency_jobs = read.count(work, "latency_jobs");
  plan.timeout = std::chrono::seconds(read.count(work, "timeout_seconds"));
}

void read_quick(const Reader& read, const toml::table& quick, Plan& plan) {
  read.known(quick, {"words_per_job", "jobs", "latency_jobs", "concurrency"}, "[quick]");
  if (quick.contains("words_per_job")) {
    plan.words_per_job = read.count(quick, "words_per_job");
  }
  if (quick.contains("jobs")) plan.jobs = read.count(quick, "jobs");
  if (quick.contains("latency_jobs")) {
    plan.latency_jobs = read.count(quick, "latency_jobs");
  }
  if (quick.contains("concurrency")) {
    read.counts(quick, "concurrency", plan.concurrency);
  }
}

Way read_way(const Reader& read, const toml::table& entry) {
  read.known(entry, {"name", "wrong", "job"}, "[[isolation]]");
  Way way;
  way.name = read.text(entry, "name");
  const std::string expected = read.text(entry, "wrong");
  if (expected != "none" && expected != "some") {
    read.wrong(entry.get("wrong")->source(), "wrong: expected \"none\" or \"some\"");
  }
  way.expect = expected == "some" ? Expect::kSomeWrong : Expect::kNoneWrong;
  if (const toml::node* job = entry.get("job")) {
    if (!job->is_table()) read.wrong(job->source(), "job: expected a table");
    way.job = *job->as_table();
  }
  return way;
}

Plan read_tables(const Reader& read, const toml::table& root,
                 const std::filesystem::path& folder, bool quick) {
  read.known(root,
             {"work", "baseline", "concurrency", "queue", "store", "isolation", "quick",
              "engine"},
             "the file");
  Plan plan;
  const auto table = [&](const char* key) -> const toml::table& {
    const toml::table* found = root[key].as_table();
    if (found == nullptr) {
      read.wrong(root.source(), "there is no [" + std::string(key) + "]");
    }
    return *found;
  };
  read_work(read, table("work"), plan, folder);
  read.counts(root, "concurrency", plan.concurrency);
  const auto place = [&](std::vector<Place>& out, const char* what) {
    return [&read, &out, what](const toml::table& entry) {
      read.known(entry, {"name", "url"}, what);
      out.push_back({read.text(entry, "name"), read.text(entry, "url")});
    };
  };
  read.each(root, "queue", place(plan.queues, "[[queue]]"));
  read.each(root, "store", place(plan.stores, "[[store]]"));
  read.each(root, "isolation", [&](const toml::table& entry) {
    plan.isolations.push_back(read_way(read, entry));
  });
  plan.baseline = read.text(root, "baseline");
  bool found = false;
  for (const Way& way : plan.isolations) found = found || way.name == plan.baseline;
  if (!found) {
    read.wrong(root.get("baseline")->source(),
               "baseline: no [[isolation]] is called \"" + plan.baseline + "\"");
  }
  if (root.contains("engine")) plan.engine = table("engine");
  if (quick) read_quick(read, table("quick"), plan);
  return plan;
}

// The folder that "{here}" stands for.
std::string program_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
}

void place_here(toml::node& node, const std::string& here) {
  if (auto* text = node.as_string()) {
    const std::string::size_type at = text->get().find("{here}");
    if (at != std::string::npos) text->get().replace(at, 6, here);
  } else if (auto* array = node.as_array()) {
    for (toml::node& element : *array) place_here(element, here);
  } else if (auto* table = node.as_table()) {
    for (auto&& [key, value] : *table) place_here(value, here);
  }
}

// Sets what `from` says in `to`, table by table.
void merge(toml::table& to, const toml::table& from) {
  for (const auto& [key, value] : from) {
    toml::table* below = to[key.str()].as_table();
    if (below != nullptr && value.is_table()) {
      merge(*below, *value.as_table());
    } else {
      to.insert_or_assign(key, value);
    }
  }
}

}  // namespace

Result<Plan> parse_plan(std::string_view text, const std::filesystem::path& source,
                        bool quick) {
  try {
    const toml::table root = toml::parse(text, source.string());
    return read_tables(Reader(source), root, source.parent_path(), quick);
  } catch (const toml::parse_error& e) {
    return fail(Code::kInvalid, source.string() + ":" +
                                    std::to_string(e.source().begin.line) + ": " +
                                    std::string(e.description()));
  } catch (const Wrong& wrong) {
    return fail(Code::kInvalid, wrong.message);
  }
}

Result<Plan> read_plan(const std::filesystem::path& file, bool quick) {
  // The file may be reached by a link; what it names lies beside the file itself.
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(file, error);
  std::ifstream in(real);
  if (error || !in) {
    return fail(Code::kNotFound, "cannot read " + file.string());
  }
  std::ostringstream text;
  text << in.rdbuf();
  return parse_plan(text.str(), real, quick);
}

std::vector<Combination> combinations(const Plan& plan) {
  std::vector<Combination> all;
  for (const Place& queue : plan.queues) {
    for (const Place& store : plan.stores) {
      for (std::size_t concurrency : plan.concurrency) {
        for (const Way& way : plan.isolations) {
          all.push_back({queue, store, way, concurrency});
        }
      }
    }
  }
  return all;
}

std::string engine_toml(const Plan& plan, const Combination& c,
                        const std::string& jobs_queue) {
  toml::table job{{"isolation", c.isolation.name}};
  merge(job, c.isolation.job);
  job.insert_or_assign("queue", jobs_queue);
  // An attempt that failed is a finding here, and not to be tried again.
  job.insert_or_assign("max_attempts", 1);
  place_here(job, program_folder());

  toml::table root = plan.engine;
  merge(root, toml::table{
                  {"store", c.store.url},
                  {"queue", c.queue.url},
                  {"worker",
                   toml::table{{"concurrency", static_cast<std::int64_t>(c.concurrency)},
                               {"queues", toml::array{jobs_queue}}}},
                  {"jobs", toml::table{{"hash", job}}}});
  std::ostringstream out;
  out << root << '\n';
  return out.str();
}

}  // namespace compare
