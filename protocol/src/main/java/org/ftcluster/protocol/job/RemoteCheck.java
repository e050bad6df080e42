package org.ftcluster.protocol.job;

import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Whether {@code checkpoint.remote} and what goes with it make sense. */
final class RemoteCheck {
  private static final String S3 = "s3://";
  private static final String REMOTE = "checkpoint.remote";
  private static final String ENDPOINT = "checkpoint.endpoint";
  private static final Pattern BUCKET = Pattern.compile("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]");
  private static final Pattern SCHEME = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]*://.*");
  private static final Pattern REGION = Pattern.compile("[a-z0-9-]{1,40}");

  /** Segments that storage or clients would change. */
  private static final Pattern BAD_PREFIX =
      Pattern.compile("(^|.*/)(\\.{0,2})/.*|.*/\\.{1,2}|\\.{1,2}|.*\\s.*");

  private RemoteCheck() {}

  /** A folder as an absolute path, from {@code folder} where it is relative; others as they are. */
  static @Nullable String read(Section checkpoint, Path folder) {
    String remote = checkpoint.string("remote", "");
    return SCHEME.matcher(remote).matches()
        ? remote
        : checkpoint.path("remote", folder).map(Path::toString).orElse(null);
  }

  static void check(JobSpec.Checkpoint checkpoint, Problems problems) {
    String remote = checkpoint.remote();
    boolean s3 = remote != null && remote.startsWith(S3);
    if (remote != null && problems.none(REMOTE)) {
      if (s3) {
        checkAddress(remote, problems);
      } else if (SCHEME.matcher(remote).matches()) {
        problems.add(REMOTE, "must be s3://BUCKET/PREFIX or a folder, not " + remote);
      } else if (Path.of(remote).equals(checkpoint.path())) {
        problems.add(REMOTE, "is checkpoint.path itself; name another place, or leave it out");
      }
    }
    String endpoint = checkpoint.endpoint();
    if (endpoint != null) {
      if (s3) {
        checkEndpoint(endpoint, problems);
      } else {
        problems.add(
            ENDPOINT, "belongs to checkpoint.remote: s3://BUCKET/PREFIX, which is not given");
      }
    }
    String region = checkpoint.region();
    if (region != null) {
      if (!s3) {
        problems.add(
            "checkpoint.region",
            "belongs to checkpoint.remote: s3://BUCKET/PREFIX, which is not given");
      } else if (!REGION.matcher(region).matches()) {
        problems.add("checkpoint.region", "must be a name such as eu-central-1, not " + region);
      }
    }
  }

  private static void checkAddress(String remote, Problems problems) {
    String rest = remote.substring(S3.length());
    int slash = rest.indexOf('/');
    String bucket = slash < 0 ? rest : rest.substring(0, slash);
    String prefix = slash < 0 ? "" : rest.substring(slash + 1);
    if (!BUCKET.matcher(bucket).matches()) {
      problems.add(
          REMOTE,
          "must be s3://BUCKET/PREFIX with a bucket of 3 to 63 lower-case letters, digits, dots and"
              + " dashes, not "
              + remote);
    } else if (BAD_PREFIX.matcher(prefix).matches()) {
      problems.add(
          REMOTE,
          "is %s, but a prefix has no spaces, and no empty, . or .. parts".formatted(remote));
    }
  }

  private static void checkEndpoint(String endpoint, Problems problems) {
    try {
      URI uri = new URI(endpoint);
      String path = uri.getPath();
      if (uri.getUserInfo() != null) {
        problems.add(
            ENDPOINT,
            "must not hold credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where workers start");
        return;
      }
      if (("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))
          && uri.getHost() != null
          && (path == null || path.isEmpty() || path.equals("/"))
          && uri.getQuery() == null
          && uri.getFragment() == null) {
        return;
      }
    } catch (URISyntaxException e) {
      // Said below.
    }
    problems.add(ENDPOINT, "must be an address such as http://10.0.0.1:9000, not " + endpoint);
  }
}
