// A table as values, and its Markdown and HTML forms. The terminal's is in terminal.h.
#pragma once

#include <string>
#include <vector>

namespace report {

enum class Align { kLeft, kRight };
enum class Tone { kPlain, kDim, kGood, kBad, kStrong };

struct Column {
  std::string head;
  Align align = Align::kRight;
  std::size_t min_width =
      0;         // on a terminal, where rows are printed before all are known
  int drop = 0;  // a narrow terminal leaves out the highest first; 0: never left out
  std::string help = {};  // one sentence, for the HTML head's tooltip and legends
};

struct Cell {
  std::string text;
  Tone tone = Tone::kPlain;
};

struct Row {
  std::vector<Cell> cells;   // as many as there are columns
  bool rule_before = false;  // sets a group apart from the rows above
};

// A part of a table under a title of its own, or under none; rows or, in their place, one
// remark.
struct Section {
  std::string title;
  std::vector<Row> rows;
  std::string remark = {};  // shown below the rows
};

struct Table {
  std::vector<Column> columns;
  std::vector<Section> sections;
};

// One Markdown table; a section's title becomes a first column with `section_head` above
// it.
std::string markdown(const Table& table, const std::string& section_head);
// <table> with a <tbody> a section; no id, no style, only classes: "tone-bad", "left", ….
std::string html(const Table& table, const std::string& caption);

}  // namespace report
