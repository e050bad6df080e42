package org.ftcluster.cli.client;

import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.coordinator.api.ApiConnections;
import org.ftcluster.protocol.api.CancelJobRequest;
import org.ftcluster.protocol.api.ClusterDescription;
import org.ftcluster.protocol.api.DescribeClusterRequest;
import org.ftcluster.protocol.api.DrainNodeRequest;
import org.ftcluster.protocol.api.FtClusterGrpc;
import org.ftcluster.protocol.api.FtClusterGrpc.FtClusterBlockingStub;
import org.ftcluster.protocol.api.JobSummary;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.ListJobsRequest;
import org.ftcluster.protocol.api.ListNodesRequest;
import org.ftcluster.protocol.api.NodeInfo;
import org.ftcluster.protocol.api.ScaleJobRequest;
import org.ftcluster.protocol.api.SubmitJobRequest;
import org.ftcluster.protocol.api.WatchJobRequest;
import org.ftcluster.protocol.security.Protection;

/**
 * A coordinator, spoken to over gRPC. Every call ends within its deadline; what goes wrong is a
 * {@link CommandException} that says whether the cluster can't be reached or the request is wrong.
 */
public final class CoordinatorClient implements AutoCloseable {
  private static final Duration CALL = Duration.ofSeconds(20);

  /** What every coordinator knows by itself. */
  private static final Duration DESCRIBE = Duration.ofSeconds(5);

  /** How long {@link #watch} tries to reach a coordinator again that went away. */
  private static final Duration REJOIN = Duration.ofSeconds(30);

  /** Finds out about a machine that vanished; servers refuse more than one ping in five minutes. */
  private static final Duration KEEP_ALIVE = Duration.ofMinutes(6);

  private static final String START_ONE =
      "start one with `ftcluster coordinator`, or name another with --coordinator HOST:PORT or"
          + " FTCLUSTER_COORDINATOR";

  private static final String GIVE_KEYS =
      "if it has a cluster's keys, name the same ones with %s FOLDER or FTCLUSTER_TLS"
          .formatted(TlsOption.OPTION);

  private static final Duration BETWEEN_TRIES = Duration.ofSeconds(1);

  private final Addresses address;
  private final boolean hasKeys;
  private final ManagedChannel channel;
  private final FtClusterBlockingStub stub;

  public CoordinatorClient(Address address, Protection protection) {
    this(new Addresses(List.of(address)), protection);
  }

  /** A client of whichever of them is there. */
  public CoordinatorClient(Addresses addresses, Protection protection) {
    this.address = addresses;
    this.hasKeys = protection.credentials().isPresent();
    channel =
        ApiConnections.client(AddressResolver.target(addresses), protection)
            .keepAliveTime(KEEP_ALIVE.toSeconds(), TimeUnit.SECONDS)
            .build();
    stub = FtClusterGrpc.newBlockingStub(channel);
  }

  /** Where a node joins. */
  public ClusterDescription describeCluster() {
    return call(
        s ->
            s.withDeadlineAfter(DESCRIBE)
                .describeCluster(DescribeClusterRequest.getDefaultInstance()));
  }

  /**
   * Hands a job over; it is durable when this returns.
   *
   * @param jobYaml the resolved job file
   * @return the job's id
   */
  public String submit(String jobYaml) {
    return call(s -> s.submitJob(SubmitJobRequest.newBuilder().setJobYaml(jobYaml).build()))
        .getJob();
  }

  public List<JobSummary> jobs() {
    return call(s -> s.listJobs(ListJobsRequest.getDefaultInstance())).getJobsList();
  }

  public JobSummary cancel(String job) {
    return call(s -> s.cancelJob(CancelJobRequest.newBuilder().setJob(job).build())).getJob();
  }

  /** Says how many workers a job is to have; durable when this returns. */
  public JobSummary scale(String job, int workers) {
    ScaleJobRequest request = ScaleJobRequest.newBuilder().setJob(job).setWorkers(workers).build();
    return call(s -> s.scaleJob(request)).getJob();
  }

  public List<NodeInfo> nodes() {
    return call(s -> s.listNodes(ListNodesRequest.getDefaultInstance())).getNodesList();
  }

  /** Lets a worker hand over and leave; it knows when this returns. */
  public NodeInfo drain(String node) {
    return call(s -> s.drainNode(DrainNodeRequest.newBuilder().setNode(node).build())).getNode();
  }

  /**
   * Hands over the job as it is now, then every change, until the job has ended. Goes on through a
   * restart of the coordinator that takes less than half a minute.
   *
   * @param onLost called when the coordinator can't be reached, before every new try; may throw, if
   *     there is no hope
   */
  public void watch(String job, Consumer<JobUpdate> updates, Runnable onLost) {
    WatchJobRequest request = WatchJobRequest.newBuilder().setJob(job).build();
    long lostSince = -1;
    while (true) {
      try {
        Iterator<JobUpdate> stream = stub.watchJob(request);
        while (stream.hasNext()) {
          JobUpdate update = stream.next();
          lostSince = -1;
          updates.accept(update);
        }
        return;
      } catch (StatusRuntimeException e) {
        if (e.getStatus().getCode() != Status.Code.UNAVAILABLE || KeyRefusal.in(e).isPresent()) {
          throw failure(e);
        }
        lostSince = lostSince < 0 ? System.nanoTime() : lostSince;
        if (System.nanoTime() - lostSince > REJOIN.toNanos()) {
          throw failure(e);
        }
        pause();
        onLost.run();
      }
    }
  }

  private <T> T call(Function<FtClusterBlockingStub, T> request) {
    try {
      return request.apply(stub.withDeadlineAfter(CALL));
    } catch (StatusRuntimeException e) {
      throw failure(e);
    }
  }

  private CommandException failure(StatusRuntimeException e) {
    Status status = e.getStatus();
    String said = said(status);
    // What answers, but not in gRPC, is described in several lines, the first of which says it.
    if (said.startsWith("HTTP status code")) {
      return CommandException.unreachable(
              "what answers at %s is not a coordinator (%s); give the address of `ftcluster coordinator --grpc`"
                  .formatted(address, said.lines().findFirst().orElseThrow()))
          .because(e);
    }
    Optional<String> refusal = KeyRefusal.in(e);
    if (refusal.isPresent()) {
      return CommandException.badRequest(
              "the coordinator at %s and this command don't share a cluster's keys (%s); give both the same ones by %s FOLDER, or none"
                  .formatted(address, refusal.get(), TlsOption.OPTION))
          .because(e);
    }
    return switch (status.getCode()) {
      case UNAVAILABLE, DEADLINE_EXCEEDED ->
          CommandException.unreachable(
                  "no coordinator answers at %s (%s); %s"
                      .formatted(address, said, mayWantKeys(said) ? GIVE_KEYS : START_ONE))
              .because(e);
      case INVALID_ARGUMENT,
          NOT_FOUND,
          ALREADY_EXISTS,
          FAILED_PRECONDITION,
          OUT_OF_RANGE,
          UNIMPLEMENTED,
          PERMISSION_DENIED,
          UNAUTHENTICATED,
          RESOURCE_EXHAUSTED ->
          CommandException.badRequest(List.of(said.split("\n"))).because(e);
      case OK, CANCELLED, UNKNOWN, ABORTED, INTERNAL, DATA_LOSS ->
          CommandException.failed("the coordinator at %s failed: %s".formatted(address, said))
              .because(e);
    };
  }

  /** Something was there, and ended the connection: as who encrypts does with who doesn't. */
  private boolean mayWantKeys(String said) {
    return !hasKeys
        && (said.contains("Network closed for unknown reason")
            || said.contains("Connection reset"));
  }

  /** The network's own words where there are some, else the coordinator's. */
  private static String said(Status status) {
    Throwable cause = status.getCause();
    while (cause != null && cause.getCause() != null) {
      cause = cause.getCause();
    }
    if (cause != null && cause.getMessage() != null) {
      return cause
          .getMessage()
          .replaceFirst("^\\w+\\(\\.\\.\\) failed with error\\(-?\\d+\\): ", "");
    }
    return Objects.requireNonNullElse(status.getDescription(), status.getCode().name());
  }

  private static void pause() {
    try {
      Thread.sleep(BETWEEN_TRIES);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw CommandException.failed("interrupted").because(e);
    }
  }

  @Override
  public void close() {
    channel.shutdownNow();
    try {
      channel.awaitTermination(1, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
