#include "search.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>

#include "broken.h"

namespace carrel::model {
namespace {

class Search {
 public:
  Search(const RuleSet& rules, const char* until) : rules_(rules), until_(until) {}

  Report run(const World& first) {
    add(first, 0, "inserted");
    for (std::size_t at = 0; at < nodes_.size() && !over(); ++at) {
      const World world = std::move(worlds_[at - done_]);
      if (at - done_ > kForget) forget(at);
      if (is_final(world.row.state)) ends_.push_back(static_cast<Index>(at));
      for (Step& step : steps_from(world, rules_)) follow(static_cast<Index>(at), step);
    }
    if (!over()) find_lost();
    report_.states = nodes_.size();
    return std::move(report_);
  }

 private:
  using Index = std::uint32_t;
  struct Node {
    Index parent;
    const char* step;
  };

  bool over() const { return until_ != nullptr && report_.broken.contains(until_); }

  Index add(World world, Index parent, const char* step) {
    const auto [at, is_new] =
        known_.try_emplace(world.key(), static_cast<Index>(nodes_.size()));
    if (is_new) {
      nodes_.push_back({parent, step});
      worlds_.push_back(std::move(world));
    }
    return at->second;
  }

  void follow(Index from, Step& step) {
    ++report_.steps;
    if (step.broken != nullptr) found(step.broken, from, step.name);
    const bool fair = step.fair;
    const Index to = add(std::move(step.after), from, step.name);
    if (fair && to != from) fair_.emplace_back(to, from);
  }

  // Worlds that were looked at are kept by their keys alone.
  static constexpr std::size_t kForget = 100'000;
  void forget(std::size_t at) {
    worlds_.erase(worlds_.begin(),
                  worlds_.begin() + static_cast<std::ptrdiff_t>(at - done_));
    done_ = at;
  }

  void found(const char* what, Index from, const char* step) {
    if (report_.broken.contains(what)) return;
    std::vector<std::string> way = {step};
    for (Index at = from;; at = nodes_[at].parent) {
      way.emplace_back(nodes_[at].step);
      if (at == 0) break;
    }
    std::reverse(way.begin(), way.end());
    report_.broken.emplace(what, std::move(way));
  }

  // Backwards from the worlds where the job has ended: whatever is not met is lost.
  void find_lost() {
    std::sort(fair_.begin(), fair_.end());
    std::vector<bool> can_end(nodes_.size());
    std::vector<Index> next = ends_;
    for (const Index end : ends_) can_end[end] = true;
    while (!next.empty()) {
      const Index to = next.back();
      next.pop_back();
      auto edge = std::lower_bound(fair_.begin(), fair_.end(), std::pair(to, Index{0}));
      for (; edge != fair_.end() && edge->first == to; ++edge) {
        if (can_end[edge->second]) continue;
        can_end[edge->second] = true;
        next.push_back(edge->second);
      }
    }
    const auto lost = std::find(can_end.begin(), can_end.end(), false);
    if (lost == can_end.end()) return;
    found(broken::kLost, static_cast<Index>(lost - can_end.begin()), "and never ends");
  }

  const RuleSet& rules_;
  const char* until_;
  Report report_;
  std::unordered_map<Key, Index, Key::Hash> known_;
  std::vector<Node> nodes_;
  std::vector<World> worlds_;  // of the nodes from done_ on
  std::size_t done_ = 0;
  std::vector<Index> ends_;
  std::vector<std::pair<Index, Index>> fair_;  // (to, from)
};

}  // namespace

Report search(const World& first, const RuleSet& rules, const char* until) {
  return Search(rules, until).run(first);
}

std::string Report::to_string() const {
  std::string text = std::to_string(states) + " states, " + std::to_string(steps) +
                     " steps between them";
  for (const auto& [what, way] : broken) {
    text += "\n  broken: " + what;
    for (const std::string& step : way) text += "\n    " + step;
  }
  return text;
}

}  // namespace carrel::model
