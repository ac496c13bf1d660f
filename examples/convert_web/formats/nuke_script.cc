#include "nuke_script.h"

#include <algorithm>

#include "reading.h"

namespace tracks::nuke {

bool Items::skip_blanks(bool lines) {
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '\n') {
      if (!lines) return false;
      ++line_;
    } else if (c == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') {
      ++at_;  // the line goes on
      ++line_;
    } else if (c != ' ' && c != '\t' && c != '\r' && c != ';') {
      return true;
    }
  }
  return false;
}

void Items::read_braced(Item& item) {
  const std::size_t from = ++at_;
  std::size_t depth = 1;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '\n') ++line_;
    if (c == '\\' && at_ + 1 < text_.size()) {
      if (text_[++at_] == '\n') ++line_;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      item.text = text_.substr(from, at_++ - from);
      return;
    }
  }
  fail(item.line, "the brace that is opened here is never closed");
}

void Items::read_quoted(Item& item) {
  const std::size_t from = ++at_;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '\n') ++line_;
    if (c == '\\' && at_ + 1 < text_.size()) {
      if (text_[++at_] == '\n') ++line_;
    } else if (c == '"') {
      item.text = text_.substr(from, at_++ - from);
      return;
    }
  }
  fail(item.line, "the quote that is opened here is never closed");
}

bool Items::next(Item& item) { return skip_blanks(true) && next_on_line(item); }

bool Items::next_on_line(Item& item) {
  if (!skip_blanks(false)) return false;
  item = {{}, line_, 'w'};
  const char c = text_[at_];
  if (c == '{' || c == '"') {
    item.kind = c;
    c == '{' ? read_braced(item) : read_quoted(item);
    return true;
  }
  const std::size_t from = at_;
  for (; at_ < text_.size(); ++at_) {
    const char d = text_[at_];
    if (d == ' ' || d == '\t' || d == '\n' || d == '\r' || d == '{') break;
  }
  item.text = text_.substr(from, at_ - from);
  return true;
}

void Items::skip_line() {
  Item ignored;
  while (next_on_line(ignored)) {
  }
}

double Items::fraction() const {
  return static_cast<double>(at_) /
         static_cast<double>(std::max<std::size_t>(1, text_.size()));
}

std::vector<Item> items_of(const Item& list) {
  std::vector<Item> out;
  Items items(list.text, list.line);
  for (Item item; items.next(item);) out.push_back(item);
  return out;
}

std::vector<Knob> knobs_of(const Item& node) {
  std::vector<Knob> out;
  Items items(node.text, node.line);
  for (Item name; items.next(name);) {
    Knob knob{name.text, {}};
    if (!items.next_on_line(knob.value)) continue;
    out.push_back(knob);
    items.skip_line();
  }
  return out;
}

}  // namespace tracks::nuke
