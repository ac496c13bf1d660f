// One HTML page that needs nothing but itself: style, script and drawings are inside, and
// it forbids itself to load anything.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace report {

// Texts are plain and escaped here, unless a name says html.
class Page {
 public:
  Page(std::string title, std::string lead);

  void heading(const std::string& text);
  void paragraph(const std::string& text);
  // A paragraph that stands out: good or bad news.
  void verdict(bool good, const std::string& text);
  // A row of small cards: what stands on the card, its figure, a line below.
  struct Card {
    std::size_t style = 0;  // of the series that it is about
    std::string name;
    std::string figure;
    std::string below;
    bool bad = false;
  };
  void cards(const std::vector<Card>& cards);
  // Which mark is which series; with a script running, buttons that hide and show them.
  void legend(const std::vector<std::pair<std::size_t, std::string>>& series);
  // Charts (svg of chart.h) side by side, each with a caption above.
  struct Figure {
    std::string caption;
    std::string svg;
  };
  void figures(const std::vector<Figure>& figures);
  // A table of table.h, in a region that scrolls sideways by itself.
  void table(const std::string& table_html, const std::string& label);
  void definitions(const std::vector<std::pair<std::string, std::string>>& pairs);
  void code(const std::string& text);
  // Of a run with --quick, what its figures are worth.
  void was_quick();

  std::string html() const;

 private:
  std::string title_, lead_, body_;
};

}  // namespace report
