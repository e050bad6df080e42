package org.ftcluster.worker.checkpoint.storage;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.file.DurableFiles;

/** A folder, on a file system that outlives the node. */
final class FolderStorage implements Storage {
  private final Path root;

  FolderStorage(Path root) {
    this.root = root;
  }

  @Override
  public void put(String name, Path file, long bytes) throws IOException {
    Path target = root.resolve(name);
    Path folder = target.getParent();
    if (folder != null) {
      Files.createDirectories(folder);
    }
    copy(file, target, bytes);
  }

  @Override
  public void get(String name, Path target) throws IOException {
    Path file = root.resolve(name);
    try {
      copy(file, target, Files.size(file));
    } catch (NoSuchFileException e) {
      throw new StorageException("there is no such file", StorageException.Kind.MISSING, e);
    }
  }

  private static void copy(Path source, Path target, long bytes) throws IOException {
    try (FileChannel from = FileChannel.open(source)) {
      DurableFiles.write(
          target,
          to -> {
            for (long done = 0; done < bytes; ) {
              long copied = from.transferTo(done, bytes - done, to);
              if (copied <= 0) {
                throw new IOException(source + " has become shorter");
              }
              done += copied;
            }
          });
    }
  }

  @Override
  public List<String> list(String beginning) throws IOException {
    List<String> names = new ArrayList<>();
    if (!Files.isDirectory(root)) {
      return names;
    }
    Files.walkFileTree(
        root,
        new SimpleFileVisitor<>() {
          @Override
          public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            String name = root.relativize(file).toString();
            if (name.startsWith(beginning) && !name.endsWith(DurableFiles.PARTIAL_SUFFIX)) {
              names.add(name);
            }
            return FileVisitResult.CONTINUE;
          }
        });
    names.sort(null);
    return names;
  }

  @Override
  public void delete(String name) throws IOException {
    Path file = root.resolve(name);
    Files.deleteIfExists(file);
    Path folder = file.getParent();
    if (folder != null && !folder.equals(root) && Files.exists(folder) && isEmpty(folder)) {
      Files.deleteIfExists(folder);
    }
  }

  private static boolean isEmpty(Path folder) throws IOException {
    try (var entries = Files.newDirectoryStream(folder)) {
      return !entries.iterator().hasNext();
    }
  }

  @Override
  public String describe(String name) {
    return root.resolve(name).toString();
  }

  @Override
  public void close() {}
}
