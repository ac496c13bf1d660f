#include "report/table.h"

#include "report/text.h"

namespace report {
namespace {

const char* tone_class(Tone tone) {
  switch (tone) {
    case Tone::kDim:
      return "tone-dim";
    case Tone::kGood:
      return "tone-good";
    case Tone::kBad:
      return "tone-bad";
    case Tone::kStrong:
      return "tone-strong";
    case Tone::kPlain:
      break;
  }
  return "";
}

// A '|' would end the cell.
std::string escape_markdown(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string cell_class(const Column& column, Tone tone) {
  std::string names = column.align == Align::kLeft ? "left" : "";
  const std::string toned = tone_class(tone);
  if (!names.empty() && !toned.empty()) names += ' ';
  names += toned;
  return names.empty() ? "" : " class=\"" + names + "\"";
}

}  // namespace

std::string markdown(const Table& table, const std::string& section_head) {
  std::string out = "| " + section_head + " |";
  std::string rule = "|---|";
  for (const Column& column : table.columns) {
    out += " " + escape_markdown(column.head) + " |";
    rule += column.align == Align::kRight ? "---:|" : "---|";
  }
  out += "\n" + rule + "\n";
  for (const Section& section : table.sections) {
    for (const Row& row : section.rows) {
      out += "| " + escape_markdown(section.title) + " |";
      for (const Cell& cell : row.cells) {
        const std::string text = escape_markdown(cell.text);
        out += cell.tone == Tone::kBad && !text.empty() ? " **" + text + "** |"
                                                        : " " + text + " |";
      }
      out += "\n";
    }
    if (section.rows.empty() && !section.remark.empty()) {
      out += "| " + escape_markdown(section.title) + " | " +
             escape_markdown(section.remark) + " |";
      for (std::size_t i = 1; i < table.columns.size(); ++i) out += " |";
      out += "\n";
    }
  }
  return out;
}

std::string html(const Table& table, const std::string& caption) {
  std::string out =
      "<table>\n<caption>" + escape_html(caption) + "</caption>\n<thead><tr>";
  for (const Column& column : table.columns) {
    out += "<th scope=\"col\"" + cell_class(column, Tone::kPlain);
    if (!column.help.empty()) out += " title=\"" + escape_html(column.help) + "\"";
    out += ">" + escape_html(column.head) + "</th>";
  }
  out += "</tr></thead>\n";
  const std::string span = std::to_string(table.columns.size());
  for (const Section& section : table.sections) {
    out += "<tbody>\n";
    if (!section.title.empty()) {
      out += "<tr class=\"section\"><th scope=\"rowgroup\" colspan=\"" + span +
             "\"><span>" + escape_html(section.title) + "</span></th></tr>\n";
    }
    for (const Row& row : section.rows) {
      out += row.rule_before ? "<tr class=\"rule\">" : "<tr>";
      for (std::size_t i = 0; i < row.cells.size(); ++i) {
        const Cell& cell = row.cells[i];
        const std::string tag = i == 0 ? "th" : "td";
        out += "<" + tag + (i == 0 ? " scope=\"row\"" : "") +
               cell_class(table.columns[i], cell.tone) + ">" + escape_html(cell.text) +
               "</" + tag + ">";
      }
      out += "</tr>\n";
    }
    if (!section.remark.empty()) {
      out += "<tr class=\"remark\"><td colspan=\"" + span + "\"><span>" +
             escape_html(section.remark) + "</span></td></tr>\n";
    }
    out += "</tbody>\n";
  }
  return out + "</table>\n";
}

}  // namespace report
