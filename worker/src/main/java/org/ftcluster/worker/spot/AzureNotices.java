package org.ftcluster.worker.spot;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Optional;
import org.ftcluster.worker.spot.SpotNotices.Notice;

/**
 * Azure scheduled events: an event of type {@code Preempt} or {@code Terminate} that names this
 * machine comes at least 30 seconds before the end.
 */
final class AzureNotices implements SpotNotices.Source {
  private static final Duration GRACE = Duration.ofSeconds(25);
  private static final JsonMapper JSON = new JsonMapper();

  private final Metadata metadata;
  private String name = "";

  AzureNotices(Metadata metadata) {
    this.metadata = metadata;
  }

  @Override
  public Duration period() {
    return Duration.ofSeconds(1);
  }

  @Override
  public Optional<Notice> ask() throws IOException, InterruptedException {
    if (name.isEmpty()) {
      name =
          get("/metadata/instance/compute/name?api-version=2021-02-01&format=text").body().strip();
    }
    JsonNode events =
        JSON.readTree(get("/metadata/scheduledevents?api-version=2020-07-01").body())
            .path("Events");
    for (JsonNode event : events) {
      String type = event.path("EventType").asText();
      if ((type.equals("Preempt") || type.equals("Terminate")) && namesUs(event)) {
        return Optional.of(new Notice("a scheduled event of type " + type, GRACE));
      }
    }
    return Optional.empty();
  }

  private boolean namesUs(JsonNode event) {
    for (JsonNode resource : event.path("Resources")) {
      if (resource.asText().equals(name)) {
        return true;
      }
    }
    return false;
  }

  private HttpResponse<String> get(String path) throws IOException, InterruptedException {
    HttpResponse<String> answer = metadata.get(path, "Metadata", "true");
    if (answer.statusCode() != 200) {
      throw Metadata.unexpected(answer);
    }
    return answer;
  }
}
