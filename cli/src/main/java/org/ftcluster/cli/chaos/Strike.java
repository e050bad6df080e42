package org.ftcluster.cli.chaos;

/**
 * A fault that was carried out.
 *
 * @param number in the schedule
 * @param round which run of the job
 * @param atMs when, by the clock of {@link Sightings}
 * @param step the last one seen completed before
 * @param generation the newest seen before
 * @param what was done to whom
 */
record Strike(
    int number, int round, FaultKind kind, long atMs, long step, long generation, String what) {}
