// Every statement that the SQLite store runs, as SQL, by name.
//
// States are written as their stored numbers (carrel/types.h): 0 pending, 1 scheduled,
// 2 available, 3 running, 4 retryable, 5 completed, 6 cancelled, 7 discarded. Instants
// are microseconds since 1970 UTC on the store's clock. Bytes that are not text go in as
// CAST (… AS BLOB), so that NULs and whatever is not UTF-8 stay what they are.
//
// A list of ids is one parameter, a JSON array: one statement a batch, and its plan is
// the same for any number of rows.
#pragma once

namespace carrel::sql::sqlite::statements {

// Transactions.
extern const char* const kBegin;
extern const char* const kCommit;
extern const char* const kRollback;

// Inserting.
extern const char* const kFindRequest;
extern const char* const kInsertJob;
extern const char* const kInsertPayload;

// Claiming. The three kNext… walk the (queue, kind) pairs that have available jobs, one
// index seek a pair: a comparison of (queue, kind) as a row value would read all of a
// pair's entries.
extern const char* const kNextQueue;
extern const char* const kNextKind;
extern const char* const kBestOfLane;
extern const char* const kPickLane;
extern const char* const kPickLimitedLane;
extern const char* const kPickIds;
extern const char* const kMark;

// Queues with limits.
extern const char* const kCountRunningOfQueue;

// Jobs with limits: carrel_limits; in limit_statements.cc. The three kNext… walk the
// lanes of a key that have pending jobs, one index seek a lane.
extern const char* const kAnyLimited;
extern const char* const kAnyAvailableLimited;
extern const char* const kAddLimited;
extern const char* const kFindLimited;
extern const char* const kFindAvailableLimited;
extern const char* const kCountRunningOfKeys;
extern const char* const kStartLimited;
extern const char* const kSetLimited;
extern const char* const kLookAtLine;
extern const char* const kUnreserve;
extern const char* const kCountAvailableOfKey;
extern const char* const kNextPriorityOfKey;
extern const char* const kNextKindOfKey;
extern const char* const kNextQueueOfKey;
extern const char* const kPendingOfKey;
extern const char* const kRenameLimited;
extern const char* const kDeleteLimits;
extern const char* const kReadLimit;

// Jobs with rates, and when attempts of them began; in rate_statements.cc.
extern const char* const kAddRated;
extern const char* const kDropRated;
extern const char* const kDeleteRates;
extern const char* const kFindRated;
extern const char* const kFindAvailableRated;
extern const char* const kSetRated;
extern const char* const kCountStarts;
extern const char* const kCountAvailableOfRate;
extern const char* const kNewestStart;
extern const char* const kAddStart;
extern const char* const kTakeStartBack;
extern const char* const kNextLaneOfRate;
extern const char* const kWaitingOfRate;
extern const char* const kWakeRate;
extern const char* const kDueRates;
extern const char* const kPeriodOfRate;
extern const char* const kForgetStarts;
extern const char* const kAnyStart;
extern const char* const kAnyOfRate;
extern const char* const kSetRateWake;
extern const char* const kDropRateKey;
extern const char* const kNextRate;
extern const char* const kReadRate;

// Unique keys: carrel_unique.
extern const char* const kFindUnique;
extern const char* const kHoldUnique;
extern const char* const kLeaveUnique;
extern const char* const kDeleteUnique;
extern const char* const kForgetUnique;
extern const char* const kNextUnique;
extern const char* const kReadUnique;
// What an enqueue that meets its job replaces there.
extern const char* const kReplacePayload;
extern const char* const kDeletePayload;
extern const char* const kForgetCheckpoint;

// Rows as the rules see them.
extern const char* const kLoadRows;
extern const char* const kSaveRow;
extern const char* const kSaveFinished;
extern const char* const kForgetResult;
extern const char* const kComplete;
extern const char* const kAddAttempt;
extern const char* const kAddSuccess;
extern const char* const kTrimAttempts;

// Beats.
extern const char* const kRenewLeases;
extern const char* const kRunningOfWorker;
extern const char* const kReadNotes;
extern const char* const kSaveNotes;

// Sweeping and purging.
extern const char* const kDueRows;
extern const char* const kNextWake;
extern const char* const kOldestFinal;
extern const char* const kDeleteJobs;
extern const char* const kDeletePayloads;
extern const char* const kDeleteNotes;
extern const char* const kDeleteAttempts;
extern const char* const kAddTally;
extern const char* const kFinalRows;

// Queues.
extern const char* const kPause;
extern const char* const kResume;
extern const char* const kPaused;
extern const char* const kFootprint;

// Reading.
extern const char* const kNotFinal;
extern const char* const kReadPayload;
extern const char* const kReadAttempts;
extern const char* const kReadJob;
extern const char* const kListJobs;
extern const char* const kListFewJobs;
extern const char* const kFewAreMany;
extern const char* const kListNearJobs;
extern const char* const kCountAvailable;
extern const char* const kCountWaiting;
extern const char* const kCountFinal;
extern const char* const kDataVersion;
extern const char* const kSchemaCookie;

}  // namespace carrel::sql::sqlite::statements
