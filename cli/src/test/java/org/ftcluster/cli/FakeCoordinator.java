package org.ftcluster.cli;

import io.grpc.Server;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.ftcluster.protocol.api.CancelJobRequest;
import org.ftcluster.protocol.api.CancelJobResponse;
import org.ftcluster.protocol.api.DrainNodeRequest;
import org.ftcluster.protocol.api.DrainNodeResponse;
import org.ftcluster.protocol.api.FtClusterGrpc;
import org.ftcluster.protocol.api.JobSummary;
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

/** A gRPC server on loopback that answers as it was told to. It knows one job, {@code j1}. */
final class FakeCoordinator extends FtClusterGrpc.FtClusterImplBase implements AutoCloseable {
  final List<NodeInfo> nodes = new ArrayList<>();
  final List<JobSummary> jobs = new ArrayList<>();
  final List<JobUpdate> updates = new ArrayList<>();
  final List<String> submitted = new ArrayList<>();
  private final Server server;

  FakeCoordinator() throws IOException {
    server =
        NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))
            .directExecutor()
            .addService(this)
            .build()
            .start();
  }

  String address() {
    return "127.0.0.1:" + server.getPort();
  }

  @Override
  public void submitJob(SubmitJobRequest request, StreamObserver<SubmitJobResponse> answer) {
    submitted.add(request.getJobYaml());
    answer(answer, SubmitJobResponse.newBuilder().setJob("j1").build());
  }

  @Override
  public void listJobs(ListJobsRequest request, StreamObserver<ListJobsResponse> answer) {
    answer(answer, ListJobsResponse.newBuilder().addAllJobs(jobs).build());
  }

  @Override
  public void listNodes(ListNodesRequest request, StreamObserver<ListNodesResponse> answer) {
    answer(answer, ListNodesResponse.newBuilder().addAllNodes(nodes).build());
  }

  @Override
  public void cancelJob(CancelJobRequest request, StreamObserver<CancelJobResponse> answer) {
    if (knows(request.getJob(), answer)) {
      JobSummary cancelled =
          JobSummary.newBuilder().setJob(request.getJob()).setState("CANCELLED").build();
      answer(answer, CancelJobResponse.newBuilder().setJob(cancelled).build());
    }
  }

  @Override
  public void scaleJob(ScaleJobRequest request, StreamObserver<ScaleJobResponse> answer) {
    if (knows(request.getJob(), answer)) {
      JobSummary scaled =
          JobSummary.newBuilder()
              .setJob(request.getJob())
              .setMaxWorkers(request.getWorkers())
              .build();
      answer(answer, ScaleJobResponse.newBuilder().setJob(scaled).build());
    }
  }

  @Override
  public void drainNode(DrainNodeRequest request, StreamObserver<DrainNodeResponse> answer) {
    NodeInfo node = NodeInfo.newBuilder().setNode(request.getNode()).setState("DRAINING").build();
    answer(answer, DrainNodeResponse.newBuilder().setNode(node).build());
  }

  @Override
  public void watchJob(WatchJobRequest request, StreamObserver<JobUpdate> answer) {
    if (knows(request.getJob(), answer)) {
      updates.forEach(answer::onNext);
      answer.onCompleted();
    }
  }

  private static boolean knows(String job, StreamObserver<?> answer) {
    boolean known = job.equals("j1");
    if (!known) {
      answer.onError(
          Status.NOT_FOUND.withDescription("there is no job " + job).asRuntimeException());
    }
    return known;
  }

  private static <T> void answer(StreamObserver<T> observer, T value) {
    observer.onNext(value);
    observer.onCompleted();
  }

  @Override
  public void close() throws InterruptedException {
    server.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
  }
}
