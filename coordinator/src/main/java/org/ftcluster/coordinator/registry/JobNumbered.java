package org.ftcluster.coordinator.registry;

/**
 * Event: a job got its id. Whether it exists is told by its own journal: a coordinator may have
 * ended before the submission itself was durable, and then nobody was told of the job.
 */
public record JobNumbered(String job) {}
