"""What PyInstaller adds to a program that imports the SDK."""

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("gigachat")
