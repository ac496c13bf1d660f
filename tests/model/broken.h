// What the search watches for, by the numbers of the invariants in engine/README.md.
#pragma once

namespace carrel::model::broken {

inline constexpr char kStart[] =
    "invariant 2: a run starts only when a claim moved the row available→running and "
    "raised its fence";
inline constexpr char kStale[] =
    "invariant 3: a write changes the row only under its (id, fence, running)";
inline constexpr char kTwice[] = "invariant 3: a run is finished once";
inline constexpr char kAlready[] =
    "invariant 3: a repeated finish is told that it was applied";
inline constexpr char kFence[] = "invariant 4: the fence never falls";
inline constexpr char kRefund[] =
    "invariant 4: a refund gives back one attempt, and nothing else";
inline constexpr char kLost[] =
    "invariants 5 and 6: whatever was lost, the job can still end";
inline constexpr char kWake[] =
    "invariant 6: a row that is neither available nor final has a time to wake";
inline constexpr char kAttempt[] =
    "invariant 7: every claim spends an attempt, and none beyond the last";
inline constexpr char kOverlap[] =
    "invariant 8: two runs are live only if the lease of the first had ended";
inline constexpr char kInFlight[] =
    "a beat never touches a run that its worker holds, or a claim in flight beside it";
inline constexpr char kCancelled[] = "a job whose cancel was accepted starts no more";

}  // namespace carrel::model::broken
