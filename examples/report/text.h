// Numbers and strings, the way a report shows them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace report {

// "12.30": always `digits` behind the point.
std::string fixed(double value, int digits);
// Three significant digits at most two behind the point: "0.05", "1.23", "45.6", "789".
std::string brief(double value);
// "12,345".
std::string grouped(unsigned long long value);

// Columns that a UTF-8 text fills on a terminal: one a code point. Enough for Latin text
// and the signs that reports use; not for wide or combining characters.
std::size_t width(std::string_view utf8);
// At most `columns` wide, the last one "…" if anything was cut.
std::string shorten(std::string_view utf8, std::size_t columns);
// Lines of at most `columns`, broken at blanks; a longer word has a line of its own.
std::vector<std::string> wrap(std::string_view utf8, std::size_t columns);

// For text and attribute values of HTML and SVG.
std::string escape_html(std::string_view text);

}  // namespace report
