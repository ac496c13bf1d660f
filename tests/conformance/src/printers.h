// How values of the library look in a failed case's message.
#pragma once

#include <carrel/job.h>
#include <carrel/types.h>

#include <ostream>

namespace carrel {

inline void PrintTo(State s, std::ostream* out) { *out << to_string(s); }
inline void PrintTo(OutcomeClass c, std::ostream* out) { *out << to_string(c); }
inline void PrintTo(Code c, std::ostream* out) { *out << to_string(c); }
inline void PrintTo(JobId id, std::ostream* out) { *out << "job " << value(id); }
inline void PrintTo(Fence f, std::ostream* out) { *out << "fence " << value(f); }

inline void PrintTo(Refusal r, std::ostream* out) {
  constexpr const char* kNames[] = {"gone", "early", "paused"};
  *out << kNames[static_cast<int>(r)];
}
inline void PrintTo(Cancelled c, std::ostream* out) {
  constexpr const char* kNames[] = {"cancelled", "requested", "already final",
                                    "not found"};
  *out << kNames[static_cast<int>(c)];
}
inline void PrintTo(Pulse p, std::ostream* out) {
  constexpr const char* kNames[] = {"alive", "cancel", "stale", "held"};
  *out << kNames[static_cast<int>(p)];
}

}  // namespace carrel
