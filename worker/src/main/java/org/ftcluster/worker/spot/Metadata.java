package org.ftcluster.worker.spot;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;

/** A metadata service, asked over HTTP. */
record Metadata(HttpClient http, URI endpoint) {
  static final Duration TIMEOUT = Duration.ofSeconds(2);

  /**
   * Asks for a path.
   *
   * @param headers names and values in turn
   */
  HttpResponse<String> get(String path, String... headers)
      throws IOException, InterruptedException {
    return send(request(path, headers).GET());
  }

  HttpResponse<String> put(String path, String... headers)
      throws IOException, InterruptedException {
    return send(request(path, headers).PUT(HttpRequest.BodyPublishers.noBody()));
  }

  private HttpRequest.Builder request(String path, String... headers) {
    return HttpRequest.newBuilder(endpoint.resolve(path)).timeout(TIMEOUT).headers(headers);
  }

  private HttpResponse<String> send(HttpRequest.Builder request)
      throws IOException, InterruptedException {
    return http.send(request.build(), BodyHandlers.ofString());
  }

  static IOException unexpected(HttpResponse<?> response) {
    return new IOException("%s answered %d".formatted(response.uri(), response.statusCode()));
  }
}
