#include "nuke.h"

#include <algorithm>
#include <map>

#include "nuke_script.h"
#include "reading.h"
#include "writing.h"

namespace tracks::nuke {
namespace {

using Curve = std::map<int, double>;

// The items of "curve x1 5 6"; nothing if it is no plain curve.
std::optional<Curve> curve_of(const Item& item) {
  const auto words = items_of(item);
  if (item.kind != '{' || words.empty() || words[0].text != "curve") return {};
  Curve curve;
  int frame = 1, step = 1;
  std::optional<int> last;
  for (auto word = words.begin() + 1; word != words.end(); ++word) {
    const std::string_view text = word->text;
    if (text.size() > 1 && text[0] == 'x') {
      frame = parse_frame(text.substr(1), word->line);
      if (last) step = std::max(1, frame - *last);
    } else if (text.find_first_of("0123456789") == 0 ||
               (text.size() > 1 && text.find_first_of("-+.") == 0)) {
      if (frame > kMaxFrame) fail(word->line, "a curve goes past any clip");
      curve[frame] = parse_pixel(text, word->line, "a value of a curve");
      last = frame;
      frame += step;
    }  // else: how it goes between two frames: i, K, s95, …
  }
  if (curve.empty()) return {};
  return curve;
}

class Reader {
 public:
  Reader(std::string_view text, const Report& report)
      : all_(text, 1), builder_(shot_, report) {}

  Shot read() {
    for (Item item; all_.next(item);) {
      Item body;
      if (!all_.next_on_line(body)) continue;
      if (body.kind == '{') node(item.text, body);
      all_.skip_line();
    }
    builder_.finish();
    return std::move(shot_);
  }

 private:
  void node(std::string_view kind, const Item& body) {
    if (kind != "Root" && kind != "Tracker4" && kind != "Tracker3" &&
        kind != "CornerPin2D") {
      return;
    }
    const auto knobs = knobs_of(body);
    if (kind == "Root") return root(knobs);
    std::string name(kind);
    for (const Knob& knob : knobs) {
      if (knob.name == "name") name = std::string(knob.value.text);
    }
    if (kind == "Tracker4") return tracker4(name, knobs);
    const bool pin = kind == "CornerPin2D";
    std::vector<const Knob*> points;
    for (const Knob& knob : knobs) {
      const std::string_view rest =
          knob.name.substr(std::min(knob.name.size(), pin ? 2UL : 5UL));
      if (knob.name.starts_with(pin ? "to" : "track") && rest.size() == 1 &&
          rest[0] >= '1' && rest[0] <= '4') {
        points.push_back(&knob);
      }
    }
    for (const Knob* knob : points) {
      const auto curves = items_of(knob->value);
      const std::string own =
          points.size() == 1 ? name : name + "_" + std::string(knob->name);
      if (curves.size() == 2) {
        track(own, curves[0], curves[1]);
      } else {
        leave_out(own);
      }
    }
  }

  // format "2048 1556 0 0 2048 1556 1 2K_Super_35(full-ap)"
  void root(const std::vector<Knob>& knobs) {
    for (const Knob& knob : knobs) {
      if (knob.name != "format") continue;
      const auto numbers = words(knob.value.text);
      if (numbers.size() < 2) continue;
      const auto side = [&](std::size_t i) {
        return static_cast<int>(
            parse_count(numbers[i], knob.value.line, "the picture's size", 100'000));
      };
      const Size size{side(0), side(1)};
      if (size.width > 0 && size.height > 0) shot_.size = size;
    }
  }

  void tracker4(const std::string& node, const std::vector<Knob>& knobs) {
    for (const Knob& knob : knobs) {
      if (knob.name != "tracks") continue;
      const auto parts = items_of(knob.value);
      if (parts.size() < 3) continue;  // linked to another node, or without tracks
      std::map<std::string_view, std::size_t> columns;
      for (const Item& column : items_of(parts[1])) {
        const auto head = items_of(column);
        if (head.size() >= 4) columns.emplace(head[3].text, columns.size());
      }
      for (const char* name : {"name", "track_x", "track_y"}) {
        if (columns.count(name) == 0) {
          fail(parts[1].line, "the table of tracks of " + quoted(node) +
                                  " has no column " + quoted(name));
        }
      }
      for (const Item& row : items_of(parts[2])) {
        const auto cells = items_of(row);
        if (cells.size() <= std::max(columns["track_x"], columns["track_y"])) {
          fail(row.line, "a row of the table of tracks of " + quoted(node) +
                             " has only " + std::to_string(cells.size()) + " cells");
        }
        track(std::string(cells[columns["name"]].text), cells[columns["track_x"]],
              cells[columns["track_y"]]);
      }
    }
  }

  void track(const std::string& name, const Item& x_item, const Item& y_item) {
    const auto x = curve_of(x_item), y = curve_of(y_item);
    if (!x || !y) return leave_out(name);
    builder_.track(name, x_item.line);
    for (const auto& [frame, value] : *x) {
      const auto other = y->find(frame);
      if (other == y->end()) continue;
      builder_.point(frame, value, other->second, x_item.line, all_.fraction());
    }
  }

  void leave_out(const std::string& name) {
    constexpr std::size_t kMost = 20;
    if (++left_out_ == kMost) shot_.notes.emplace_back("More tracks were left out.");
    if (left_out_ >= kMost) return;
    shot_.notes.push_back("Track " + quoted(name) +
                          " has no curve of its own and was left out.");
  }

  Items all_;
  Shot shot_;
  Builder builder_;
  std::size_t left_out_ = 0;
};

// The 31 columns of a Tracker4's table: type, whether it can be animated, width, name.
constexpr std::string_view kColumns =
    "  { { 5 1 20 enable e }\n    { 3 1 75 name name }\n    { 2 1 58 track_x track_x }\n"
    "    { 2 1 58 track_y track_y }\n    { 2 1 63 offset_x offset_x }\n"
    "    { 2 1 63 offset_y offset_y }\n    { 4 1 27 T T }\n    { 4 1 27 R R }\n"
    "    { 4 1 27 S S }\n    { 2 0 45 error error }\n    { 1 1 0 error_min error_min }\n"
    "    { 1 1 0 error_max error_max }\n    { 1 1 0 pattern_x pattern_x }\n"
    "    { 1 1 0 pattern_y pattern_y }\n    { 1 1 0 pattern_r pattern_r }\n"
    "    { 1 1 0 pattern_t pattern_t }\n    { 1 1 0 search_x search_x }\n"
    "    { 1 1 0 search_y search_y }\n    { 1 1 0 search_r search_r }\n"
    "    { 1 1 0 search_t search_t }\n    { 2 1 0 key_track key_track }\n"
    "    { 2 1 0 key_search_x key_search_x }\n    { 2 1 0 key_search_y key_search_y }\n"
    "    { 2 1 0 key_search_r key_search_r }\n    { 2 1 0 key_search_t key_search_t }\n"
    "    { 2 1 0 key_track_x key_track_x }\n    { 2 1 0 key_track_y key_track_y }\n"
    "    { 2 1 0 key_track_r key_track_r }\n    { 2 1 0 key_track_t key_track_t }\n"
    "    { 2 1 0 key_centre_offset_x key_centre_offset_x }\n"
    "    { 2 1 0 key_centre_offset_y key_centre_offset_y } }\n";

// After a jump the next value would be as far away again: it gets its frame, too.
void append_curve(std::string& out, const Track& track, double Point::*side) {
  out += "{curve";
  int last = 0;
  bool jumped = true;
  for (const Point& point : track.points) {
    const bool first = &point == &track.points.front();
    const bool jumps = first || point.frame != last + 1;
    if (jumps || (jumped && !first && last != track.points.front().frame)) {
      out += " x";
      append(out, point.frame);
    }
    out += ' ';
    append(out, point.*side);
    jumped = jumps;
    last = point.frame;
  }
  out += '}';
}

}  // namespace

bool looks_like(std::string_view text) {
  const std::string_view start = text.substr(0, 1 << 16);
  if (start.starts_with("#! ") && start.find("Nuke") < 200) return true;
  for (const char* node : {"Tracker4 {", "Tracker3 {", "CornerPin2D {", "Root {",
                           "set cut_paste_input", "define_window_layout_xml {"}) {
    const std::size_t at = start.find(node);
    if (at != std::string_view::npos && (at == 0 || start[at - 1] == '\n')) return true;
  }
  return false;
}

Shot read(std::string_view text, const Size&, const Report& report) {
  return Reader(text, report).read();
}

std::string write(const Shot& shot, const Size& size, const Report& report) {
  int first = kMaxFrame, last = -kMaxFrame;
  for (const Track& track : shot.tracks) {
    first = std::min(first, track.points.front().frame);
    last = std::max(last, track.points.back().frame);
  }
  const std::string sides =
      std::to_string(size.width) + " " + std::to_string(size.height);
  std::string out = "version 7.0 v2\nRoot {\n inputs 0\n first_frame " +
                    std::to_string(first) + "\n last_frame " + std::to_string(last) +
                    "\n format \"" + sides + " 0 0 " + sides + " 1 \"\n}\nTracker4 {\n" +
                    " inputs 0\n tracks { { 1 31 " + std::to_string(shot.tracks.size()) +
                    " }\n";
  out += kColumns;
  out += "  {\n";
  Names names(no_quote);
  Teller teller(shot, report);
  for (const Track& track : shot.tracks) {
    teller.track(track);
    out += "   { {curve K x" + std::to_string(track.points.front().frame) + " 1} \"" +
           names.of(track.name) + "\" ";
    append_curve(out, track, &Point::x);
    out += ' ';
    append_curve(out, track, &Point::y);
    out += " {} {} 1 0 0 {} 1 0 -16 -16 16 16 -32 -32 32 32";
    for (int i = 0; i < 11; ++i) out += " {}";
    out += " }\n";
    for (std::size_t i = 0; i < track.points.size(); ++i) teller.point();
  }
  return out + "  }\n }\n name Tracks\n}\n";
}

}  // namespace tracks::nuke
