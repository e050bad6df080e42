package org.ftcluster.coordinator.journal;

import java.io.NotSerializableException;
import org.ftcluster.coordinator.job.JobEvent;
import org.ftcluster.coordinator.job.WorkerDemand;
import org.ftcluster.protocol.events.GenerationHandedOver;
import org.ftcluster.protocol.events.GenerationLost;
import org.ftcluster.protocol.events.GenerationPlanned;
import org.ftcluster.protocol.events.GenerationStarted;
import org.ftcluster.protocol.events.JobCancelled;
import org.ftcluster.protocol.events.JobEventRecord;
import org.ftcluster.protocol.events.JobFailed;
import org.ftcluster.protocol.events.JobPaused;
import org.ftcluster.protocol.events.JobQueued;
import org.ftcluster.protocol.events.JobResumed;
import org.ftcluster.protocol.events.JobScaled;
import org.ftcluster.protocol.events.JobSubmitted;
import org.ftcluster.protocol.events.JobSucceeded;
import org.ftcluster.protocol.message.RankReport.TrainingResult;

/** Events of a job to and from their durable form. */
final class JobEventMapping {
  private JobEventMapping() {}

  static JobEventRecord toProto(JobEvent event) {
    JobEventRecord.Builder record = JobEventRecord.newBuilder();
    return switch (event) {
      case JobEvent.Submitted submitted ->
          record
              .setSubmitted(
                  JobSubmitted.newBuilder()
                      .setName(submitted.name())
                      .setJobYaml(submitted.yaml())
                      .setMinWorkers(submitted.demand().min())
                      .setMaxWorkers(submitted.demand().max())
                      .setReplicaWorkers(submitted.demand().unit())
                      .setGpu(submitted.demand().gpu()))
              .build();
      case JobEvent.Queued ignored -> record.setQueued(JobQueued.getDefaultInstance()).build();
      case JobEvent.GenerationPlanned planned ->
          record
              .setGenerationPlanned(
                  GenerationPlanned.newBuilder()
                      .setGeneration(planned.generation())
                      .addAllWorkers(planned.workers()))
              .build();
      case JobEvent.GenerationStarted started ->
          record
              .setGenerationStarted(
                  GenerationStarted.newBuilder()
                      .setGeneration(started.generation())
                      .setStep(started.step())
                      .setSteps(started.steps()))
              .build();
      case JobEvent.GenerationLost lost ->
          record
              .setGenerationLost(
                  GenerationLost.newBuilder()
                      .setGeneration(lost.generation())
                      .setStep(lost.step())
                      .setReason(lost.reason()))
              .build();
      case JobEvent.GenerationHandedOver ended ->
          record
              .setGenerationHandedOver(
                  GenerationHandedOver.newBuilder()
                      .setGeneration(ended.generation())
                      .setStep(ended.step())
                      .setReason(ended.reason()))
              .build();
      case JobEvent.Scaled scaled ->
          record.setScaled(JobScaled.newBuilder().setWorkers(scaled.workers())).build();
      case JobEvent.Paused paused ->
          record.setPaused(JobPaused.newBuilder().setStep(paused.step())).build();
      case JobEvent.Resumed ignored -> record.setResumed(JobResumed.getDefaultInstance()).build();
      case JobEvent.Succeeded succeeded -> record.setSucceeded(toProto(succeeded.result())).build();
      case JobEvent.Failed failed ->
          record
              .setFailed(JobFailed.newBuilder().setStep(failed.step()).setReason(failed.reason()))
              .build();
      case JobEvent.Cancelled cancelled ->
          record.setCancelled(JobCancelled.newBuilder().setStep(cancelled.step())).build();
    };
  }

  static JobEvent fromProto(JobEventRecord record) throws NotSerializableException {
    return switch (record.getEventCase()) {
      case SUBMITTED -> {
        JobSubmitted submitted = record.getSubmitted();
        yield new JobEvent.Submitted(
            submitted.getName(),
            submitted.getJobYaml(),
            new WorkerDemand(
                submitted.getMinWorkers(),
                submitted.getMaxWorkers(),
                Math.max(1, submitted.getReplicaWorkers()),
                submitted.getGpu()));
      }
      case QUEUED -> new JobEvent.Queued();
      case GENERATION_PLANNED -> {
        GenerationPlanned planned = record.getGenerationPlanned();
        yield new JobEvent.GenerationPlanned(planned.getGeneration(), planned.getWorkersList());
      }
      case GENERATION_STARTED -> {
        GenerationStarted started = record.getGenerationStarted();
        yield new JobEvent.GenerationStarted(
            started.getGeneration(), started.getStep(), started.getSteps());
      }
      case GENERATION_LOST -> {
        GenerationLost lost = record.getGenerationLost();
        yield new JobEvent.GenerationLost(lost.getGeneration(), lost.getStep(), lost.getReason());
      }
      case GENERATION_HANDED_OVER -> {
        GenerationHandedOver ended = record.getGenerationHandedOver();
        yield new JobEvent.GenerationHandedOver(
            ended.getGeneration(), ended.getStep(), ended.getReason());
      }
      case SCALED -> new JobEvent.Scaled(record.getScaled().getWorkers());
      case PAUSED -> new JobEvent.Paused(record.getPaused().getStep());
      case RESUMED -> new JobEvent.Resumed();
      case SUCCEEDED -> new JobEvent.Succeeded(fromProto(record.getSucceeded()));
      case FAILED ->
          new JobEvent.Failed(record.getFailed().getStep(), record.getFailed().getReason());
      case CANCELLED -> new JobEvent.Cancelled(record.getCancelled().getStep());
      case EVENT_NOT_SET ->
          throw new NotSerializableException(
              "an event of a kind that this version doesn't know, written by a newer one");
    };
  }

  private static JobSucceeded toProto(TrainingResult result) {
    return JobSucceeded.newBuilder()
        .setSteps(result.steps())
        .setResultStep(result.resultStep())
        .setEvalLossBefore(result.evalLossBefore())
        .setEvalLossAfter(result.evalLossAfter())
        .setAdapter(result.adapter())
        .setAdapterSha256(result.adapterSha256())
        .setTokensPerSecond(result.tokensPerSecond())
        .setWallSeconds(result.wallSeconds())
        .setSamples(result.samples())
        .build();
  }

  private static TrainingResult fromProto(JobSucceeded result) {
    return new TrainingResult(
        result.getSteps(),
        result.getResultStep() == 0 ? result.getSteps() : result.getResultStep(),
        result.getEvalLossBefore(),
        result.getEvalLossAfter(),
        result.getAdapter(),
        result.getAdapterSha256(),
        result.getTokensPerSecond(),
        result.getWallSeconds(),
        result.getSamples());
  }
}
