package org.ftcluster.worker.spot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Metadata services that answer as their clouds document it. */
class SpotNoticesTest {
  private static final String NO_EVENTS = "{\"DocumentIncarnation\": 1, \"Events\": []}";
  private static final String EVENTS =
      """
      {"DocumentIncarnation": 2, "Events": [{
        "EventId": "A1", "EventType": "%s", "ResourceType": "VirtualMachine",
        "Resources": ["%s"], "EventStatus": "Scheduled",
        "NotBefore": "Mon, 19 Sep 2016 18:29:47 GMT", "EventSource": "Platform"}]}
      """;

  private final Map<String, String> answers = new ConcurrentHashMap<>();
  private final List<String> tokens = new ArrayList<>();
  @TempDir private Path folder;
  private HttpServer server;
  private URI endpoint;

  @BeforeEach
  void serve() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", this::answer);
    server.start();
    endpoint = URI.create("http://127.0.0.1:" + server.getAddress().getPort());
  }

  @AfterEach
  void stop() {
    server.stop(0);
  }

  @Test
  void amazonTellsTwoMinutesBeforeOrRecommendsToGo() throws Exception {
    AwsNotices aws = new AwsNotices(metadata());
    assertEquals(Optional.empty(), aws.ask());
    answers.put(
        "/latest/meta-data/events/recommendations/rebalance",
        "{\"noticeTime\": \"2020-11-05T08:22:00Z\"}");
    assertEquals("a rebalance recommendation", aws.ask().orElseThrow().reason());
    answers.put(
        "/latest/meta-data/spot/instance-action",
        "{\"action\": \"terminate\", \"time\": \"2017-09-18T08:22:00Z\"}");
    assertEquals("a spot interruption notice", aws.ask().orElseThrow().reason());
    assertEquals(List.of("token-0"), tokens);
  }

  @Test
  void amazonIsAskedForATokenAgainWhenTheOldOneHasRunOut() throws Exception {
    AwsNotices aws = new AwsNotices(metadata());
    aws.ask();
    tokens.set(0, "run out");
    assertEquals(Optional.empty(), aws.ask());
    assertEquals(List.of("run out", "token-1"), tokens);
  }

  @Test
  void googleSaysThatTheMachineIsPreempted() throws Exception {
    GcpNotices gcp = new GcpNotices(metadata());
    answers.put("/computeMetadata/v1/instance/preempted", "FALSE");
    assertEquals(Optional.empty(), gcp.ask());
    answers.put("/computeMetadata/v1/instance/preempted", "TRUE");
    assertEquals("the machine is preempted", gcp.ask().orElseThrow().reason());
  }

  @Test
  void azureSchedulesAnEventForThisMachine() throws Exception {
    AzureNotices azure = new AzureNotices(metadata());
    answers.put("/metadata/instance/compute/name", "vm-3");
    answers.put("/metadata/scheduledevents", NO_EVENTS);
    assertEquals(Optional.empty(), azure.ask());
    answers.put("/metadata/scheduledevents", EVENTS.formatted("Preempt", "vm-4"));
    assertEquals(Optional.empty(), azure.ask());
    answers.put("/metadata/scheduledevents", EVENTS.formatted("Freeze", "vm-3"));
    assertEquals(Optional.empty(), azure.ask());
    answers.put("/metadata/scheduledevents", EVENTS.formatted("Preempt", "vm-3"));
    assertEquals("a scheduled event of type Preempt", azure.ask().orElseThrow().reason());
  }

  @Test
  void aServiceThatIsNoneIsNoNotice() {
    assertThrows(IOException.class, () -> new GcpNotices(metadata()).ask());
  }

  @Test
  void firmwareNamesTheCloud() throws IOException {
    Path vendor = folder.resolve("sys_vendor");
    assertEquals(Optional.empty(), Cloud.namedIn(vendor));
    Files.writeString(vendor, "QEMU\n");
    assertEquals(Optional.empty(), Cloud.namedIn(vendor));
    Files.writeString(vendor, "Amazon EC2\n");
    assertEquals(Optional.of(Cloud.AWS), Cloud.namedIn(vendor));
  }

  @Test
  void aNoticeIsToldOnce() throws Exception {
    BlockingQueue<String> told = new ArrayBlockingQueue<>(8);
    answers.put("/computeMetadata/v1/instance/preempted", "TRUE");
    try (SpotNotices watch =
        SpotNotices.watch(Cloud.GCP, endpoint, (reason, grace) -> told.add(reason + grace))) {
      assertEquals("the machine is preemptedPT25S", told.poll(10, TimeUnit.SECONDS));
    }
    assertTrue(told.isEmpty());
  }

  private Metadata metadata() {
    return new Metadata(HttpClient.newHttpClient(), endpoint);
  }

  private synchronized void answer(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    if (path.equals("/latest/api/token") && exchange.getRequestMethod().equals("PUT")) {
      require(exchange, "X-aws-ec2-metadata-token-ttl-seconds", "21600");
      tokens.add("token-" + tokens.size());
      respond(exchange, 200, tokens.getLast());
    } else if (path.startsWith("/latest/")
        && !exchange
            .getRequestHeaders()
            .get("X-aws-ec2-metadata-token")
            .equals(List.of(tokens.getLast()))) {
      respond(exchange, 401, "");
    } else if (answers.containsKey(path)) {
      if (path.startsWith("/computeMetadata/")) {
        require(exchange, "Metadata-Flavor", "Google");
      } else if (path.startsWith("/metadata/")) {
        require(exchange, "Metadata", "true");
      }
      respond(exchange, 200, answers.get(path));
    } else {
      respond(exchange, 404, "not found");
    }
  }

  private static void require(HttpExchange exchange, String header, String value) {
    assertEquals(List.of(value), exchange.getRequestHeaders().get(header));
  }

  private static void respond(HttpExchange exchange, int status, String body) throws IOException {
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }
}
