package org.ftcluster.coordinator.api;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.StreamSupport;
import org.apache.pekko.actor.Address;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Props;
import org.apache.pekko.actor.typed.javadsl.AskPattern;
import org.apache.pekko.cluster.MemberStatus;
import org.apache.pekko.cluster.typed.Cluster;
import org.ftcluster.coordinator.job.JobCommand;
import org.ftcluster.coordinator.job.JobEvent;
import org.ftcluster.coordinator.job.JobStatus;
import org.ftcluster.coordinator.journal.Roster;
import org.ftcluster.coordinator.registry.Coordinator;
import org.ftcluster.protocol.api.CancelJobRequest;
import org.ftcluster.protocol.api.CancelJobResponse;
import org.ftcluster.protocol.api.ClusterDescription;
import org.ftcluster.protocol.api.DescribeClusterRequest;
import org.ftcluster.protocol.api.DrainNodeRequest;
import org.ftcluster.protocol.api.DrainNodeResponse;
import org.ftcluster.protocol.api.FtClusterGrpc;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.ListJobsRequest;
import org.ftcluster.protocol.api.ListJobsResponse;
import org.ftcluster.protocol.api.ListNodesRequest;
import org.ftcluster.protocol.api.ListNodesResponse;
import org.ftcluster.protocol.api.NodeInfo;
import org.ftcluster.protocol.api.ScaleJobRequest;
import org.ftcluster.protocol.api.ScaleJobResponse;
import org.ftcluster.protocol.api.SubmitJobRequest;
import org.ftcluster.protocol.api.SubmitJobResponse;
import org.ftcluster.protocol.api.WatchJobRequest;
import org.ftcluster.protocol.cluster.ClusterSystem;
import org.ftcluster.protocol.job.JobSpecException;

/** Answers clients by asking the coordinator's actors. */
public final class ApiService extends FtClusterGrpc.FtClusterImplBase {
  /** Shorter than clients wait, so that they hear what was wrong. */
  private static final Duration ANSWER = Duration.ofSeconds(15);

  private final ActorSystem<?> system;
  private final ActorRef<Coordinator.Command> coordinator;
  private final Supplier<List<Roster.Entry>> others;

  /**
   * @param others coordinators that are there besides this one
   */
  public ApiService(
      ActorSystem<?> system,
      ActorRef<Coordinator.Command> coordinator,
      Supplier<List<Roster.Entry>> others) {
    this.system = system;
    this.coordinator = coordinator;
    this.others = others;
  }

  @Override
  public void describeCluster(
      DescribeClusterRequest request, StreamObserver<ClusterDescription> client) {
    client.onNext(
        ClusterDescription.newBuilder()
            .setSystemName(ClusterSystem.NAME)
            .addSeedNodes(ClusterSystem.address(system))
            .addAllCoordinators(coordinators())
            .build());
    client.onCompleted();
  }

  @Override
  public void submitJob(SubmitJobRequest request, StreamObserver<SubmitJobResponse> client) {
    JobEvent.Submitted job;
    try {
      job = JobFile.submission(request.getJobYaml());
    } catch (JobSpecException | IllegalArgumentException e) {
      client.onError(Status.INVALID_ARGUMENT.withDescription(e.getMessage()).asRuntimeException());
      return;
    }
    answer(
        client,
        ask(coordinator, (ActorRef<JobStatus> replyTo) -> new Coordinator.Submit(job, replyTo))
            .thenApply(status -> SubmitJobResponse.newBuilder().setJob(status.job()).build()));
  }

  @Override
  public void listJobs(ListJobsRequest request, StreamObserver<ListJobsResponse> client) {
    answer(
        client,
        ask(coordinator, Coordinator.ListJobs::new)
            .thenApply(
                jobs ->
                    ListJobsResponse.newBuilder()
                        .addAllJobs(jobs.jobs().stream().map(ApiMapping::summary).toList())
                        .build()));
  }

  @Override
  public void cancelJob(CancelJobRequest request, StreamObserver<CancelJobResponse> client) {
    answer(
        client,
        find(request.getJob())
            .thenCompose(job -> ask(job, JobCommand.Cancel::new))
            .thenApply(
                status ->
                    CancelJobResponse.newBuilder().setJob(ApiMapping.summary(status)).build()));
  }

  @Override
  public void scaleJob(ScaleJobRequest request, StreamObserver<ScaleJobResponse> client) {
    answer(
        client,
        find(request.getJob())
            .thenCompose(
                job ->
                    ask(
                        job,
                        (ActorRef<JobCommand.Scaled> replyTo) ->
                            new JobCommand.Scale(request.getWorkers(), replyTo)))
            .thenApply(
                scaled -> {
                  if (!scaled.objection().isEmpty()) {
                    throw Status.INVALID_ARGUMENT
                        .withDescription(scaled.objection())
                        .asRuntimeException();
                  }
                  return ScaleJobResponse.newBuilder()
                      .setJob(ApiMapping.summary(scaled.status()))
                      .build();
                }));
  }

  @Override
  public void watchJob(WatchJobRequest request, StreamObserver<JobUpdate> client) {
    ServerCallStreamObserver<JobUpdate> call = (ServerCallStreamObserver<JobUpdate>) client;
    ActorRef<WatchStream.Command> stream =
        system.systemActorOf(WatchStream.create(call), "watch-" + UUID.randomUUID(), Props.empty());
    call.setOnReadyHandler(() -> stream.tell(new WatchStream.Ready()));
    call.setOnCancelHandler(() -> stream.tell(new WatchStream.Gone()));
    find(request.getJob())
        .whenComplete(
            (job, failure) ->
                stream.tell(
                    failure == null
                        ? new WatchStream.Follow(job)
                        : new WatchStream.Refuse(status(failure))));
  }

  @Override
  public void listNodes(ListNodesRequest request, StreamObserver<ListNodesResponse> client) {
    answer(
        client,
        ask(coordinator, Coordinator.ListWorkers::new)
            .thenApply(
                workers ->
                    ListNodesResponse.newBuilder()
                        .addNodes(thisNode())
                        .addAllNodes(others.get().stream().map(ApiMapping::standby).toList())
                        .addAllNodes(workers.workers().stream().map(ApiMapping::worker).toList())
                        .build()));
  }

  @Override
  public void drainNode(DrainNodeRequest request, StreamObserver<DrainNodeResponse> client) {
    String node = request.getNode();
    answer(
        client,
        ask(
                coordinator,
                (ActorRef<Coordinator.Draining> replyTo) -> new Coordinator.Drain(node, replyTo))
            .thenApply(
                draining ->
                    DrainNodeResponse.newBuilder().setNode(drained(node, draining)).build()));
  }

  private static NodeInfo drained(String node, Coordinator.Draining draining) {
    if (!draining.known()) {
      throw Status.NOT_FOUND
          .withDescription(
              "There is no worker '%s'; `ftcluster nodes` lists those there are.".formatted(node))
          .asRuntimeException();
    }
    return draining
        .worker()
        .map(ApiMapping::worker)
        .orElseThrow(
            () ->
                Status.UNAVAILABLE
                    .withDescription("The worker '%s' does not answer.".formatted(node))
                    .asRuntimeException());
  }

  /** Those of this cluster, once this one has joined it. */
  private List<Long> coordinators() {
    Cluster cluster = Cluster.get(system);
    return cluster.selfMember().status() == MemberStatus.up()
        ? StreamSupport.stream(cluster.state().getMembers().spliterator(), false)
            .filter(member -> member.hasRole(ClusterSystem.COORDINATOR))
            .map(member -> member.uniqueAddress().longUid())
            .toList()
        : List.of();
  }

  private NodeInfo thisNode() {
    Address address = Cluster.get(system).selfMember().address();
    return NodeInfo.newBuilder()
        .setNode(ClusterSystem.node(address))
        .setRole(ClusterSystem.COORDINATOR)
        .setHost(address.getHost().orElse(""))
        .setPid(ProcessHandle.current().pid())
        .setState("UP")
        .setRank(-1)
        .build();
  }

  /** The actor of a job, or a failure with NOT_FOUND. */
  private CompletionStage<ActorRef<JobCommand>> find(String job) {
    return ask(
            coordinator,
            (ActorRef<Coordinator.FoundJob> replyTo) -> new Coordinator.FindJob(job, replyTo))
        .thenApply(
            found ->
                found
                    .actor()
                    .orElseThrow(
                        () ->
                            Status.NOT_FOUND
                                .withDescription(
                                    "There is no job '%s'; `ftcluster jobs` lists those there are."
                                        .formatted(job))
                                .asRuntimeException()));
  }

  private <C, A> CompletionStage<A> ask(ActorRef<C> actor, Function<ActorRef<A>, C> question) {
    return AskPattern.ask(actor, question::apply, ANSWER, system.scheduler());
  }

  private static <A> void answer(StreamObserver<A> client, CompletionStage<A> answer) {
    answer.whenComplete(
        (value, failure) -> {
          if (failure == null) {
            client.onNext(value);
            client.onCompleted();
          } else {
            client.onError(status(failure).asRuntimeException());
          }
        });
  }

  private static Status status(Throwable failure) {
    Throwable cause =
        failure instanceof CompletionException && failure.getCause() != null
            ? failure.getCause()
            : failure;
    return switch (cause) {
      case StatusRuntimeException known -> known.getStatus();
      case TimeoutException ignored ->
          Status.UNAVAILABLE.withDescription(
              "the coordinator is there, but did not answer within %d s"
                  .formatted(ANSWER.toSeconds()));
      default -> Status.INTERNAL.withDescription(cause.toString()).withCause(cause);
    };
  }
}
