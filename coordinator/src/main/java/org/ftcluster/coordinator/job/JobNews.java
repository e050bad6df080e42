package org.ftcluster.coordinator.job;

import org.ftcluster.protocol.message.RankReport.StepMetrics;

/** What those who watch a job are told. */
public sealed interface JobNews {
  JobStatus status();

  /** It came into this state; also the first thing that a new watcher is told. */
  record Changed(JobStatus status) implements JobNews {}

  /** A step was completed. */
  record Stepped(JobStatus status, StepMetrics metrics) implements JobNews {}

  /** A sentence about its life. */
  record Noted(JobStatus status, String note) implements JobNews {}
}
