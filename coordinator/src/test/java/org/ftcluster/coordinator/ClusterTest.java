package org.ftcluster.coordinator;

import static org.ftcluster.coordinator.TestCluster.jobYaml;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;
import org.ftcluster.protocol.api.CancelJobRequest;
import org.ftcluster.protocol.api.DescribeClusterRequest;
import org.ftcluster.protocol.api.JobSummary;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.ListJobsRequest;
import org.ftcluster.protocol.api.ListNodesRequest;
import org.ftcluster.protocol.api.NodeInfo;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What clients of a coordinator with two workers see. */
class ClusterTest {
  private static TestCluster cluster;

  @BeforeAll
  static void start(@TempDir Path dataDir) {
    cluster = new TestCluster(dataDir, 2);
  }

  @AfterAll
  static void stop() {
    cluster.close();
  }

  @Test
  void aJobRunsOnAllWorkersAndSucceeds() {
    String job = cluster.submit(jobYaml("count", 50, 2, 2));

    List<JobUpdate> updates = cluster.watchToTheEnd(job);

    List<Long> heard =
        updates.stream().filter(JobUpdate::hasStep).map(u -> u.getStep().getStep()).toList();
    // On a busy machine the first may be done before anyone watches.
    assertEquals(LongStream.rangeClosed(51 - heard.size(), 50).boxed().toList(), heard);
    JobUpdate last = updates.getLast();
    assertEquals("SUCCEEDED", last.getJob().getState());
    assertEquals(50, last.getResult().getSteps());
    assertEquals(1, last.getResult().getGenerations());
    assertTrue(Double.isNaN(last.getResult().getEvalLossBefore()));
    assertTrue(updates.stream().anyMatch(u -> u.getNote().equals("the adapter is written")));
    assertTrue(
        updates.stream()
            .map(JobUpdate::getJob)
            .filter(summary -> summary.getState().equals("RUNNING"))
            .allMatch(summary -> summary.getWorkers() == 2 && summary.getSteps() == 50));
  }

  @Test
  void aLateWatcherIsToldTheResult() {
    String job = cluster.submit(jobYaml("late", 2, 1, 2));
    cluster.watchToTheEnd(job);

    List<JobUpdate> updates = cluster.watchToTheEnd(job);

    assertEquals(1, updates.size());
    assertEquals("/a", updates.getFirst().getResult().getAdapter());
  }

  @Test
  void aBadJobFailsWithItsSentence() {
    String job = cluster.submit(jobYaml("bad", 2, 1, 2));
    JobSummary last = cluster.watchToTheEnd(job).getLast().getJob();
    assertEquals("FAILED", last.getState());
    assertEquals("train.jsonl:3: this is not JSON.", last.getReason());
  }

  @Test
  void anErrorThatRepeatsFailsTheJob() {
    String job = cluster.submit(jobYaml("broken", 2, 1, 1));
    JobSummary last = cluster.watchToTheEnd(job).getLast().getJob();
    assertEquals("FAILED", last.getState());
    assertTrue(last.getReason().startsWith("no space left on device"), last.getReason());
    assertEquals(4, last.getGeneration());
  }

  @Test
  void aCancelledJobEndsAndItsWorkersAreFree() {
    String job = cluster.submit(jobYaml("long", 100_000, 2, 2));
    cluster.watchUntil(job, JobUpdate::hasStep);

    JobSummary cancelled =
        cluster.client().cancelJob(CancelJobRequest.newBuilder().setJob(job).build()).getJob();

    assertEquals("CANCELLED", cancelled.getState());
    assertEquals(1, cluster.watchToTheEnd(job).size());
    String next = cluster.submit(jobYaml("next", 1, 2, 2));
    assertEquals("SUCCEEDED", cluster.watchToTheEnd(next).getLast().getJob().getState());
  }

  @Test
  void jobsWaitForEachOther() {
    String first = cluster.submit(jobYaml("first", 20, 2, 2));
    String second = cluster.submit(jobYaml("second", 1, 1, 1));
    cluster.watchUntil(second, update -> update.getJob().getState().equals("RUNNING"));
    List<JobUpdate> ended = cluster.watchToTheEnd(first);
    assertEquals(1, ended.size(), "the first job had ended when the second ran");
  }

  @Test
  void aJobThatNeedsMoreWorkersThanThereAreFails() {
    String job = cluster.submit(jobYaml("wide", 1, 3, 4));
    JobSummary last = cluster.watchToTheEnd(job).getLast().getJob();
    assertEquals("FAILED", last.getState());
    assertTrue(
        last.getReason()
            .contains(
                "no worker joined in time: the job needs 3 workers, "
                    + "and after 2 s there are 2"),
        last.getReason());
  }

  @Test
  void aWrongJobFileIsRefusedWithEveryProblem() {
    StatusRuntimeException e =
        assertThrows(
            StatusRuntimeException.class,
            () -> cluster.submit("model: {pth: /model}\nchekpoint: {path: /out}\n"));
    assertEquals(Status.Code.INVALID_ARGUMENT, e.getStatus().getCode());
    assertTrue(e.getMessage().contains("checkpoint"), e.getMessage());
    assertTrue(e.getMessage().contains("pth"), e.getMessage());
  }

  @Test
  void aJobFileThatIsTooLargeIsRefused() {
    StatusRuntimeException e =
        assertThrows(StatusRuntimeException.class, () -> cluster.submit("# ".repeat(150 * 1024)));
    assertEquals(Status.Code.INVALID_ARGUMENT, e.getStatus().getCode());
  }

  @Test
  void anUnknownJobIsNotFound() {
    for (Runnable call :
        List.<Runnable>of(
            () -> cluster.watchToTheEnd("nothing-1"),
            () ->
                cluster
                    .client()
                    .cancelJob(CancelJobRequest.newBuilder().setJob("nothing-1").build()))) {
      StatusRuntimeException e = assertThrows(StatusRuntimeException.class, call::run);
      assertEquals(Status.Code.NOT_FOUND, e.getStatus().getCode());
      assertTrue(e.getMessage().contains("nothing-1"), e.getMessage());
    }
  }

  @Test
  void jobsAndNodesAreListed() throws Exception {
    String job = cluster.submit(jobYaml("listed", 1, 1, 2));
    cluster.watchToTheEnd(job);
    List<JobSummary> jobs =
        cluster.client().listJobs(ListJobsRequest.getDefaultInstance()).getJobsList();
    assertTrue(jobs.stream().anyMatch(s -> s.getJob().equals(job) && s.getName().equals("listed")));

    List<NodeInfo> nodes =
        cluster.client().listNodes(ListNodesRequest.getDefaultInstance()).getNodesList();
    assertEquals(
        List.of("coordinator", "worker", "worker"), nodes.stream().map(NodeInfo::getRole).toList());
    assertTrue(nodes.stream().allMatch(node -> node.getPid() == ProcessHandle.current().pid()));
    assertEquals("cpu", nodes.getLast().getDevice());
  }

  @Test
  void nodesAreToldWhereToJoin() {
    assertTrue(
        cluster
            .client()
            .describeCluster(DescribeClusterRequest.getDefaultInstance())
            .getSeedNodes(0)
            .startsWith("pekko://ftcluster@127.0.0.1:"));
  }
}
