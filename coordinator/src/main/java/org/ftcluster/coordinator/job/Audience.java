package org.ftcluster.coordinator.job;

import java.util.HashSet;
import java.util.Set;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Those who hear about a job: its owner, and whoever watches it. */
final class Audience {
  private static final Logger LOG = LoggerFactory.getLogger(Job.class);

  private final ActorRef<JobSignal> owner;
  private final Set<ActorRef<JobNews>> watchers = new HashSet<>();

  Audience(ActorRef<JobSignal> owner) {
    this.owner = owner;
  }

  void add(ActorRef<JobNews> watcher) {
    watchers.add(watcher);
  }

  void remove(ActorRef<JobNews> watcher) {
    watchers.remove(watcher);
  }

  void changed(JobStatus status) {
    LOG.info(
        "{} is {}, generation {}, {} workers{}",
        status.job(),
        status.state(),
        status.generation(),
        status.workers(),
        status.reason().isEmpty() ? "" : ": " + status.reason());
    owner.tell(new JobSignal.Changed(status));
    tellWatchers(new JobNews.Changed(status));
  }

  void stepped(JobStatus status, StepMetrics metrics) {
    owner.tell(new JobSignal.Changed(status));
    tellWatchers(new JobNews.Stepped(status, metrics));
  }

  void noted(JobStatus status, String note) {
    tellWatchers(new JobNews.Noted(status, note));
  }

  void signal(JobSignal signal) {
    owner.tell(signal);
  }

  private void tellWatchers(JobNews news) {
    watchers.forEach(watcher -> watcher.tell(news));
  }
}
