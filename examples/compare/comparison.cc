#include "comparison.h"

#include <report/text.h>

#include <algorithm>

namespace compare {
namespace {

using nlohmann::json;

json outcome_json(const Outcome& o) {
  json j = {{"queue", o.queue},           {"store", o.store},
            {"isolation", o.isolation},   {"concurrency", o.concurrency},
            {"wrong_expected", o.expect}, {"status", o.status}};
  if (o.status != Status::kMeasured) {
    j["reason"] = o.reason;
    return j;
  }
  j.update(json(o.measured));
  if (o.to_baseline > 0) j["ratio"] = o.to_baseline;
  return j;
}

Outcome outcome_from(const json& j) {
  Outcome o;
  j.at("queue").get_to(o.queue);
  j.at("store").get_to(o.store);
  j.at("isolation").get_to(o.isolation);
  j.at("concurrency").get_to(o.concurrency);
  o.expect = j.at("wrong_expected").get<Expect>();
  o.status = j.at("status").get<Status>();
  o.reason = j.value("reason", "");
  if (o.status == Status::kMeasured) {
    j.get_to(o.measured);
    o.to_baseline = j.value("ratio", 0.0);
  }
  return o;
}

template <class T, class F>
std::vector<T> distinct(const Comparison& comparison, F&& of) {
  std::vector<T> values;
  for (const Outcome& o : comparison.outcomes) {
    T value = of(o);
    if (std::find(values.begin(), values.end(), value) == values.end()) {
      values.push_back(std::move(value));
    }
  }
  return values;
}

}  // namespace

void to_json(json& j, const Measured& m) {
  j = {{"jobs_per_second", m.jobs_per_second},
       {"p50_ms", m.p50_ms},
       {"p99_ms", m.p99_ms},
       {"cpu_host_seconds", m.cpu_host_s},
       {"cpu_children_seconds", m.cpu_children_s},
       {"peak_host_bytes", m.peak_host_bytes},
       {"peak_child_bytes", m.peak_child_bytes},
       {"jobs", m.jobs},
       {"hashes", m.hashes},
       {"wrong", m.wrong}};
}

void from_json(const json& j, Measured& m) {
  j.at("jobs_per_second").get_to(m.jobs_per_second);
  j.at("p50_ms").get_to(m.p50_ms);
  j.at("p99_ms").get_to(m.p99_ms);
  j.at("cpu_host_seconds").get_to(m.cpu_host_s);
  j.at("cpu_children_seconds").get_to(m.cpu_children_s);
  j.at("peak_host_bytes").get_to(m.peak_host_bytes);
  j.at("peak_child_bytes").get_to(m.peak_child_bytes);
  j.at("jobs").get_to(m.jobs);
  j.at("hashes").get_to(m.hashes);
  j.at("wrong").get_to(m.wrong);
}

void to_json(json& j, const Comparison& c) {
  json outcomes = json::array();
  for (const Outcome& o : c.outcomes) outcomes.push_back(outcome_json(o));
  const std::vector<std::string> violations = judge(c);
  j = {{"format", 1},
       {"date", c.facts.date},
       {"machine",
        {{"processor", c.facts.processor},
         {"cores", c.facts.cores},
         {"memory_bytes", c.facts.memory_bytes},
         {"load", c.facts.load},
         {"system", c.facts.system},
         {"kernel", c.facts.kernel},
         {"compiler", c.facts.compiler},
         {"build", c.facts.build}}},
       {"work", c.work},
       {"baseline", c.baseline},
       {"command", c.command},
       {"quick", c.quick},
       {"seconds", c.seconds},
       {"combinations", outcomes},
       {"ok", violations.empty()},
       {"violations", violations}};
}

void from_json(const json& j, Comparison& c) {
  j.at("date").get_to(c.facts.date);
  const json& machine = j.at("machine");
  machine.at("processor").get_to(c.facts.processor);
  machine.at("cores").get_to(c.facts.cores);
  machine.at("memory_bytes").get_to(c.facts.memory_bytes);
  machine.at("load").get_to(c.facts.load);
  machine.at("system").get_to(c.facts.system);
  machine.at("kernel").get_to(c.facts.kernel);
  machine.at("compiler").get_to(c.facts.compiler);
  machine.at("build").get_to(c.facts.build);
  j.at("work").get_to(c.work);
  j.at("baseline").get_to(c.baseline);
  c.command = j.value("command", "examples/run compare");  // of an older file
  j.at("quick").get_to(c.quick);
  j.at("seconds").get_to(c.seconds);
  c.outcomes.clear();
  for (const json& o : j.at("combinations")) c.outcomes.push_back(outcome_from(o));
}

void set_ratios(Comparison& comparison) {
  for (Outcome& o : comparison.outcomes) {
    const Outcome* base =
        measured(comparison, pair_name(o), comparison.baseline, o.concurrency);
    if (o.status == Status::kMeasured && base != nullptr &&
        base->measured.jobs_per_second > 0) {
      o.to_baseline = o.measured.jobs_per_second / base->measured.jobs_per_second;
    }
  }
}

std::vector<std::string> judge(const Comparison& comparison) {
  std::vector<std::string> violations;
  std::size_t measured_ones = 0;
  for (const Outcome& o : comparison.outcomes) {
    const std::string name = pair_name(o) + ", " + o.isolation + ", " +
                             std::to_string(o.concurrency) + " at once";
    if (o.status == Status::kFailed) violations.push_back(name + " failed: " + o.reason);
    if (o.status != Status::kMeasured) continue;
    ++measured_ones;
    const bool must = o.expect == Expect::kSomeWrong && o.concurrency > 1;
    if (must && o.measured.wrong == 0) {
      violations.push_back(name + ": no hash was wrong, though crypt(3) was shared");
    }
    if (!must && o.measured.wrong > 0) {
      violations.push_back(name + ": " + report::grouped(o.measured.wrong) + " of " +
                           report::grouped(o.measured.hashes) + " hashes were wrong");
    }
  }
  if (measured_ones == 0) violations.emplace_back("no combination could be measured");
  return violations;
}

std::string busy_warning(const Comparison& comparison) {
  const report::Facts& facts = comparison.facts;
  if (facts.load < 0.5 * facts.cores) return {};
  return "The machine was busy with other work when this run began (load " +
         report::fixed(facts.load, 1) + " on " + std::to_string(facts.cores) +
         " processors): its speeds say little.";
}

std::string pair_name(const Outcome& outcome) {
  return outcome.queue + " × " + outcome.store;
}

std::vector<std::string> pairs(const Comparison& comparison) {
  return distinct<std::string>(comparison, pair_name);
}

std::vector<std::string> isolations(const Comparison& comparison) {
  return distinct<std::string>(comparison, [](const Outcome& o) { return o.isolation; });
}

std::vector<std::size_t> concurrencies(const Comparison& comparison) {
  return distinct<std::size_t>(comparison,
                               [](const Outcome& o) { return o.concurrency; });
}

const Outcome* measured(const Comparison& comparison, const std::string& pair,
                        const std::string& isolation, std::size_t concurrency) {
  for (const Outcome& o : comparison.outcomes) {
    if (o.status == Status::kMeasured && o.isolation == isolation &&
        o.concurrency == concurrency && pair_name(o) == pair) {
      return &o;
    }
  }
  return nullptr;
}

}  // namespace compare
