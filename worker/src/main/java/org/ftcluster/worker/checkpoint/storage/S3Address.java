package org.ftcluster.worker.checkpoint.storage;

/**
 * A place in S3-compatible storage.
 *
 * @param prefix ends with a slash, or is empty
 */
record S3Address(String bucket, String prefix) {
  /** Reads {@code s3://BUCKET/PREFIX}, checked when the job was read. */
  static S3Address parse(String address) {
    String rest = address.substring(Storage.S3.length());
    int slash = rest.indexOf('/');
    if (slash < 0) {
      return new S3Address(rest, "");
    }
    String prefix = rest.substring(slash + 1);
    return new S3Address(
        rest.substring(0, slash), prefix.isEmpty() || prefix.endsWith("/") ? prefix : prefix + "/");
  }

  String key(String name) {
    return prefix + name;
  }

  @Override
  public String toString() {
    return Storage.S3 + bucket + "/" + prefix;
  }
}
