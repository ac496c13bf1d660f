// The little of a Nuke script's syntax that its nodes are read by: Tcl's braces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tracks::nuke {

// A word, or what stands between braces or quotes, without them. Borrows from the text.
struct Item {
  std::string_view text;
  std::size_t line = 0;
  char kind = 'w';  // 'w' a word, '{', '"'
};

// Reads items one after the other. Throws Trouble where a brace or quote is left open.
class Items {
 public:
  Items(std::string_view text, std::size_t line) : text_(text), line_(line) {}
  // The next one, over blanks and line ends; false: there is none.
  bool next(Item& item);
  // The same, but only if it stands on this line.
  bool next_on_line(Item& item);
  void skip_line();
  double fraction() const;

 private:
  bool skip_blanks(bool lines);
  void read_braced(Item& item);
  void read_quoted(Item& item);

  std::string_view text_;
  std::size_t at_ = 0, line_ = 1;
};

std::vector<Item> items_of(const Item& list);

// One node: its class, and its knobs with the first item of each value.
struct Knob {
  std::string_view name;
  Item value;
};
std::vector<Knob> knobs_of(const Item& node);

}  // namespace tracks::nuke
