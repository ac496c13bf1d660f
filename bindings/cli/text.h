// Text for people: safe to print on a terminal, in columns, in colour where it has any.
#pragma once

#include <carrel/job.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace carrel::cli {

// One line on standard error, "carrel: …".
void complain(std::string_view message);

// Control characters, and those that turn the direction of a line, become spaces: a job's
// text may hold a terminal's commands. Line breaks and tabs are kept if `lines`. What is
// no UTF-8 becomes U+FFFD, for a terminal may read such bytes as controls, too.
std::string printable(std::string_view text, bool lines = false);

// A JSON text, in which what a terminal might obey is written by its number.
std::string escaped_controls(std::string_view json);

// At most `columns` wide; "…" ends what was cut.
std::string cut(std::string_view text, std::size_t columns);

// Columns on a terminal: wide characters take two, combining ones none.
std::size_t width(std::string_view text);

// Whether `stream` is a terminal; one on which lines can be drawn over ($TERM); and one
// that shows colours ($NO_COLOR is honoured).
bool is_terminal(std::FILE* stream);
bool can_draw(std::FILE* stream);
bool has_colour(std::FILE* stream);

enum class Colour { kNone, kGood, kBad, kBusy, kFaint, kBold };
std::string coloured(std::string_view text, Colour colour, std::FILE* stream);
Colour colour_of(State state);

// "3s", "12m", "5h", "9d": one unit, for people.
std::string rough(Duration duration);
// "1,234,567"
std::string grouped(std::uint64_t n);
// "1 job", "2 jobs"
std::string counted(std::uint64_t n, std::string_view what);
// "2024-05-01 12:00:00 (3m ago)", local time; in the future: "(in 3m)".
std::string when(Time t);

// What holds a pending job back; empty: the job is not pending.
std::string waits_for(const JobRecord& job);

}  // namespace carrel::cli
