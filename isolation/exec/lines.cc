#include "lines.h"

#include <carrel/types.h>

#include <algorithm>
#include <charconv>

#include "json_text.h"

namespace carrel::process {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool take_word(std::string_view& line, std::string_view word) noexcept {
  if (!line.starts_with(word)) return false;
  if (line.size() > word.size() && line[word.size()] != ' ') return false;
  line.remove_prefix(std::min(line.size(), word.size() + 1));
  return true;
}

}  // namespace

void Tail::feed(std::string_view bytes) {
  if (bytes.size() > most_) {
    bytes.remove_prefix(bytes.size() - most_);
    held_.clear();
    cut_ = true;
  }
  if (held_.size() + bytes.size() > 2 * most_) {
    held_.erase(0, held_.size() + bytes.size() - most_);
    cut_ = true;
  }
  held_.append(bytes);
}

std::string Tail::take() {
  if (held_.size() > most_) {
    held_.erase(0, held_.size() - most_);
    cut_ = true;
  }
  if (cut_) {
    const auto line = held_.find('\n');
    if (line != std::string::npos && line + 1 < held_.size()) {
      held_.erase(0, line + 1);
    } else {
      std::size_t begin = 0;
      while (begin < held_.size() &&
             (static_cast<unsigned char>(held_[begin]) & 0xC0) == 0x80) {
        ++begin;
      }
      held_.erase(0, begin);
    }
  }
  cut_ = false;
  return std::move(held_);
}

std::optional<Note> parse_note(std::string_view line) noexcept {
  Note note;
  if (take_word(line, "log")) {
    note.text = line;
    return note;
  }
  if (!take_word(line, "progress")) return std::nullopt;
  note.kind = Note::Kind::kProgress;
  const char* const end = line.data() + line.size();
  const auto [after, error] = std::from_chars(line.data(), end, note.fraction);
  if (error != std::errc{} || (after != end && *after != ' ')) return std::nullopt;
  if (!(note.fraction == note.fraction)) return std::nullopt;  // not a number
  note.fraction = std::clamp(note.fraction, 0.0F, 1.0F);
  if (after != end) note.text = {after + 1, static_cast<std::size_t>(end - after - 1)};
  return note;
}

std::string result_of_output(std::string_view output, Output as) {
  const auto text = [](std::string_view bytes) {
    return Json(bytes).dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  if (as == Output::kText) return text(output);
  const std::string_view body = trimmed(output);
  if (body.empty() || body == "null") return {};
  if (!has_nul(body) && Json::accept(body) && !nests_too_deep(body)) {
    return std::string(body);
  }
  if (output.ends_with('\n')) output.remove_suffix(1);
  if (output.ends_with('\r')) output.remove_suffix(1);
  return text(output);
}

}  // namespace carrel::process
