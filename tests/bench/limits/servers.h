/* The limits of the figures of database servers: the same work on the bare client
   libraries, one connection, statements prepared once, tables and statements of the shape
   of the store's. Each call makes its tables anew, answers with jobs a second where
   nothing else is said, and ends the process with a message where the database refuses.
 */
#ifndef CARREL_BENCH_LIMITS_SERVERS_H_
#define CARREL_BENCH_LIMITS_SERVERS_H_

#ifdef __cplusplus
extern "C" {
#endif

/* Claims and finishes `jobs` jobs that wait, `batch` a transaction; `history`: what is
   done is kept in a table of its own. */
double postgres_drain(const char* connect, long jobs, int batch, int history);
double mariadb_drain(int port, long jobs, int batch, int history);

/* Brings `jobs` jobs, `batch` a transaction: by COPY; by one INSERT of many rows. */
double postgres_copy(const char* connect, long jobs, int batch);
double mariadb_insert(int port, long jobs, int batch);

/* Brings one job and claims it, a transaction each, `jobs` times, `gap_us` microseconds
   of idleness before each: the median of both together, in microseconds. */
double postgres_latency(const char* connect, long jobs, long gap_us);
double mariadb_latency(int port, long jobs, long gap_us);

#ifdef __cplusplus
}
#endif

#endif
