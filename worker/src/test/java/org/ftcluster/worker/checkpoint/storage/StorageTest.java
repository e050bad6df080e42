package org.ftcluster.worker.checkpoint.storage;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.ftcluster.worker.checkpoint.storage.StorageException.Kind;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What both kinds of storage do, and what goes wrong with S3's. */
class StorageTest {
  private static S3Server server;

  @TempDir private Path folder;

  @BeforeAll
  static void start() {
    server = new S3Server();
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"folder", "s3"})
  void whatIsPutIsListedGotAndDeleted(String kind) throws IOException {
    try (Storage storage = storage(kind)) {
      storage.delete("step-1/a");
      storage.put("step-1/b", file("one"), 3);
      storage.put("step-1/a", file("only the beginning"), 4);
      storage.put("step-10/a", file(""), 0);
      storage.put("metrics.jsonl", file("old"), 3);
      storage.put("metrics.jsonl", file("new"), 3);
      assertEquals(List.of("step-1/a", "step-1/b", "step-10/a"), storage.list("step-"));
      assertEquals("only", get(storage, "step-1/a"));
      assertEquals("", get(storage, "step-10/a"));
      assertEquals("new", get(storage, "metrics.jsonl"));

      storage.delete("step-1/a");
      storage.delete("step-1/a");
      assertEquals(List.of("step-1/b", "step-10/a"), storage.list("step-"));
      StorageException e = assertThrows(StorageException.class, () -> get(storage, "step-1/a"));
      assertEquals(Kind.MISSING, e.kind());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"folder", "s3"})
  void storageThatIsEmptyListsNothing(String kind) throws IOException {
    try (Storage storage = storage(kind)) {
      assertEquals(List.of(), storage.list("nothing-"));
    }
  }

  @Test
  void largeFilesGoInParts() throws IOException {
    byte[] content = new byte[(int) (2 * S3Storage.PART_BYTES + 12_345)];
    new Random(7).nextBytes(content);
    Path file = Files.write(folder.resolve("large"), content);
    try (Storage storage = storage("s3")) {
      storage.put("large", file, content.length);
      assertTrue(Arrays.equals(content, server.read("runs/7/large")));
      storage.get("large", folder.resolve("back"));
      assertArrayEquals(content, Files.readAllBytes(folder.resolve("back")));
    }
  }

  @Test
  void aBucketThatIsNotThereIsNamed() throws IOException {
    try (Storage storage = s3("s3://no-such-bucket/runs", server.endpoint())) {
      StorageException e =
          assertThrows(StorageException.class, () -> storage.put("a", file("a"), 1));
      assertEquals("there is no bucket no-such-bucket at " + server.endpoint(), e.getMessage());
      assertEquals(Kind.REFUSED, e.kind());
      assertThrows(StorageException.class, () -> storage.list("step-"));
    }
  }

  @Test
  void anEndpointThatIsNotThereIsNamed() throws IOException {
    try (Storage storage = s3("s3://bucket/runs", "http://127.0.0.1:1")) {
      StorageException e = assertThrows(StorageException.class, () -> storage.list("step-"));
      assertEquals("http://127.0.0.1:1 can't be reached: Connection refused", e.getMessage());
      assertEquals(Kind.UNAVAILABLE, e.kind());
    }
  }

  @Test
  void credentialsThatAreWrongAreNotShown() throws IOException {
    String secret = System.setProperty("aws.secretAccessKey", "a-wrong-secret");
    try (Storage storage = s3("s3://bucket/runs", server.endpoint())) {
      StorageException e = assertThrows(StorageException.class, () -> storage.list("step-"));
      assertEquals(Kind.REFUSED, e.kind());
      assertTrue(e.getMessage().contains("SignatureDoesNotMatch"), e.getMessage());
      assertFalse(e.getMessage().contains("secret"), e.getMessage());
    } finally {
      System.setProperty("aws.secretAccessKey", secret);
    }
  }

  private Storage storage(String kind) {
    return kind.equals("s3")
        ? s3("s3://bucket/runs/7", server.endpoint())
        : new FolderStorage(folder.resolve("remote"));
  }

  private static Storage s3(String address, String endpoint) {
    return new S3Storage(S3Address.parse(address), URI.create(endpoint), null);
  }

  private Path file(String content) throws IOException {
    return Files.writeString(folder.resolve("file"), content);
  }

  private String get(Storage storage, String name) throws IOException {
    Path target = folder.resolve("got");
    storage.get(name, target);
    return Files.readString(target);
  }
}
