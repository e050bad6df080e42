package org.ftcluster.coordinator.api;

import org.apache.pekko.actor.Address;
import org.apache.pekko.actor.AddressFromURIString;
import org.ftcluster.coordinator.job.JobNews;
import org.ftcluster.coordinator.job.JobState;
import org.ftcluster.coordinator.job.JobStatus;
import org.ftcluster.coordinator.journal.Roster;
import org.ftcluster.protocol.api.JobResult;
import org.ftcluster.protocol.api.JobSummary;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.NodeInfo;
import org.ftcluster.protocol.api.StepMetrics;
import org.ftcluster.protocol.cluster.ClusterSystem;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.WorkerDescription;

/** Our records as the API's messages. */
final class ApiMapping {
  private ApiMapping() {}

  static JobSummary summary(JobStatus status) {
    return JobSummary.newBuilder()
        .setJob(status.job())
        .setName(status.name())
        .setState(status.state().name())
        .setStep(status.step())
        .setSteps(status.steps())
        .setWorkers(status.workers())
        .setGeneration(status.generation())
        .setReason(status.reason())
        .setShortage(status.shortage())
        .setMinWorkers(status.demand().min())
        .setMaxWorkers(status.demand().max())
        .build();
  }

  static JobUpdate update(JobNews news) {
    JobUpdate.Builder update = JobUpdate.newBuilder().setJob(summary(news.status()));
    return switch (news) {
      case JobNews.Changed changed -> withResult(update, changed.status());
      case JobNews.Stepped stepped -> update.setStep(metrics(stepped.metrics())).build();
      case JobNews.Noted noted -> update.setNote(noted.note()).build();
    };
  }

  static NodeInfo worker(WorkerDescription worker) {
    return NodeInfo.newBuilder()
        .setNode(worker.node())
        .setRole(ClusterSystem.WORKER)
        .setHost(worker.host())
        .setPid(worker.pid())
        .setDevice(worker.device())
        .setState(worker.state())
        .setJob(worker.job())
        .setRank(worker.rank())
        .setGeneration(worker.generation())
        .setSlowness(worker.slowness())
        .build();
  }

  /** A coordinator that waits for its turn to act. */
  static NodeInfo standby(Roster.Entry coordinator) {
    Address address = AddressFromURIString.parse(coordinator.node());
    return NodeInfo.newBuilder()
        .setNode(ClusterSystem.node(address))
        .setRole(ClusterSystem.COORDINATOR)
        .setHost(address.getHost().orElse(""))
        .setPid(coordinator.pid())
        .setState("STANDBY")
        .setRank(-1)
        .build();
  }

  private static JobUpdate withResult(JobUpdate.Builder update, JobStatus status) {
    RankReport.TrainingResult result = status.result();
    if (status.state() == JobState.SUCCEEDED && result != null) {
      update.setResult(
          JobResult.newBuilder()
              .setSteps(result.steps())
              .setResultStep(result.resultStep())
              .setEvalLossBefore(result.evalLossBefore())
              .setEvalLossAfter(result.evalLossAfter())
              .setAdapter(result.adapter())
              .setAdapterSha256(result.adapterSha256())
              .setTokensPerSecond(result.tokensPerSecond())
              .setWallSeconds(result.wallSeconds())
              .setGenerations(status.generation())
              .setSamples(result.samples()));
    }
    return update.build();
  }

  private static StepMetrics metrics(RankReport.StepMetrics metrics) {
    return StepMetrics.newBuilder()
        .setStep(metrics.step())
        .setEpoch(metrics.epoch())
        .setLoss(metrics.loss())
        .setGradNorm(metrics.gradNorm())
        .setLearningRate(metrics.learningRate())
        .setTargetTokens(metrics.targetTokens())
        .setSamples(metrics.samples())
        .setTokensPerSecond(metrics.tokensPerSecond())
        .setWorkers(metrics.workers())
        .setGeneration(metrics.generation())
        .build();
  }
}
